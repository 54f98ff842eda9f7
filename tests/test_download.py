import hashlib
import http.server
import threading

import pytest

from stereozero.download import fetch, verify
from stereozero.errors import InputError

CONTENT = b"a picture"
SHA = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def server(tmp_path):
    """Serve a folder on the loopback interface; yield its address and the list of requests."""
    (tmp_path / "www").mkdir()
    (tmp_path / "www" / "a.png").write_bytes(CONTENT)
    requests = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=str(tmp_path / "www"))

        def log_message(self, text, *values):
            requests.append(self.path)

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}", requests
        running.shutdown()


def test_a_file_is_downloaded_once_and_kept_by_its_checksum(server, tmp_path):
    address, requests = server
    for _ in range(2):
        path = fetch(f"{address}/a.png", SHA, tmp_path / "downloads")
    assert path == tmp_path / "downloads" / f"{SHA}.png"
    assert path.read_bytes() == CONTENT
    assert requests == ["/a.png"]


def test_a_damaged_copy_is_fetched_again(server, tmp_path):
    address, requests = server
    fetch(f"{address}/a.png", SHA, tmp_path).write_bytes(b"a pic")
    assert fetch(f"{address}/a.png", SHA, tmp_path).read_bytes() == CONTENT
    assert len(requests) == 2


def test_a_wrong_checksum_is_refused_and_nothing_is_kept(server, tmp_path):
    address, _ = server
    with pytest.raises(
        InputError, match=rf"a\.png: checksum mismatch: the manifest says 0{{64}}, the download has {SHA}"
    ):
        fetch(f"{address}/a.png", "0" * 64, tmp_path / "downloads")
    assert list((tmp_path / "downloads").iterdir()) == []


def test_missing_files_and_unreachable_servers_are_explained(server, tmp_path):
    address, _ = server
    with pytest.raises(InputError, match=r"b\.png: the server answered 404"):
        fetch(f"{address}/b.png", SHA, tmp_path)
    with pytest.raises(InputError, match=r"can't be downloaded .*; check the network, or download it by hand"):
        fetch("http://127.0.0.1:9/a.png", SHA, tmp_path)


def test_an_address_can_not_reach_out_of_the_folder(server, tmp_path):
    address, _ = server
    path = fetch(f"{address}/a.png?x=/../../etc/passwd", SHA, tmp_path / "downloads")
    assert path.parent == tmp_path / "downloads"


def test_a_local_file_is_compared_with_the_manifest(tmp_path):
    (tmp_path / "a").write_bytes(CONTENT)
    verify(tmp_path / "a", SHA)
    verify(tmp_path / "a", None)
    with pytest.raises(InputError, match=r"a: checksum mismatch: the manifest says 0{64}, the file has"):
        verify(tmp_path / "a", "0" * 64)
