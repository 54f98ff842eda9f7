"""Files by address and checksum: fetched once, verified, shared by all runs."""

import logging
import shutil
import urllib.error
import urllib.request
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from stereozero import __name__ as agent
from stereozero.artifacts import atomic_path, sha256_of
from stereozero.errors import InputError

log = logging.getLogger(__name__)

_TIMEOUT_S = 60
_LIMIT_BYTES = 2 << 30


def fetch(address: str, sha256: str, folder: Path, expected_by: str = "the manifest") -> Path:
    """Return the local copy of a file, downloading it if it is not there yet.

    Args:
        address: http or https address.
        sha256: checksum the file must have.
        folder: where downloads are kept; the file's name there is its checksum, with the address's suffix.
        expected_by: who gives the checksum, for messages.

    Raises:
        InputError: it can't be downloaded, is larger than 2 GiB, or has another checksum. Nothing is kept then.
    """
    path = folder / (sha256 + _suffix(address))
    if path.is_file() and sha256_of(path) == sha256:
        return path
    log.info("downloading %s", address)
    with atomic_path(path) as temporary:
        _download(address, temporary)
        found = sha256_of(temporary)
        if found != sha256:
            raise InputError(
                f"{address}: checksum mismatch: {expected_by} says {sha256}, the download has {found}; "
                f"the file there has changed or {expected_by} is wrong"
            )
    return path


def fetch_unverified(address: str, path: Path) -> Path:
    """Download a file of which no checksum is known, and return its path.

    Raises:
        InputError: it can't be downloaded, or is larger than 2 GiB. Nothing is kept then.
    """
    with atomic_path(path) as temporary:
        _download(address, temporary)
    return path


def verify(path: Path, sha256: str | None) -> None:
    """Compare a local file with the checksum the manifest gives for it, if it gives one.

    Raises:
        InputError: they differ.
    """
    if sha256 is not None and (found := sha256_of(path)) != sha256:
        raise InputError(
            f"{path}: checksum mismatch: the manifest says {sha256}, the file has {found}; "
            "restore the file or correct the manifest"
        )


def _suffix(address: str) -> str:
    """Keep a plain suffix, which programs choose a decoder by; anything unusual in it is dropped."""
    suffix = PurePosixPath(urlsplit(address).path).suffix
    return suffix if suffix[1:].isalnum() and len(suffix) <= 6 else ""


def _download(address: str, target: Path) -> None:
    request = urllib.request.Request(address, headers={"User-Agent": agent})
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as response, target.open("wb") as stream:
            if int(response.headers.get("Content-Length") or 0) > _LIMIT_BYTES:
                raise InputError(
                    f"{address}: is larger than {_LIMIT_BYTES >> 30} GiB; download it by hand and name the path"
                )
            shutil.copyfileobj(response, stream)
    except urllib.error.HTTPError as error:
        raise InputError(f"{address}: the server answered {error.code} {error.reason}; check the address") from error
    except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
        reason = getattr(error, "reason", error)
        raise InputError(
            f"{address}: can't be downloaded ({reason}); check the network, or download it by hand and name the path"
        ) from error
