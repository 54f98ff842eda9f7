"""Time and weigh the loading of a full-size DynamiCrafter checkpoint.

Writes a checkpoint with the official keys and shapes to a temporary folder (named tensors, so that the loaded values
can be checked), then loads it in a fresh process for each row: in the file's own dtype, where nothing is copied, and
converted. The file is taken out of the page cache before each load. The folder is removed at the end.

    python benchmark/performance/load_checkpoint.py --variant 512 --stored bfloat16 --wanted bfloat16 float16

Peak memory is anonymous memory (what can't be dropped and read again) above that of the imported libraries, sampled
every 10 ms; mapped file pages are listed apart.
"""

import argparse
import gzip
import importlib.util
import json
import multiprocessing
import os
import shutil
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from stereozero.backbones.dynamicrafter import load_official, variant_named

GOLDEN = Path(__file__).parents[2] / "tests" / "golden"
KEY_LISTS = {"256": "256", "512": "512", "512-interp": "512", "1024": "1024"}
PROBES = {
    "model.diffusion_model.middle_block.0.in_layers.2.weight": ("unet", "middle_block.0.in_layers.2.weight"),
    "cond_stage_model.model.token_embedding.weight": ("conditioner", "model.token_embedding.weight"),
    "image_proj_model.latents": ("resampler", "latents"),
}
GIB = 2**30


def load_named_tensor():
    """Import the golden cases' generator of tensors."""
    spec = importlib.util.spec_from_file_location("named_tensors", GOLDEN / "named_tensors.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.named_tensor


def write_checkpoint(path: Path, variant: str, dtype: torch.dtype) -> None:
    """Write a checkpoint of named tensors under all official keys."""
    named_tensor = load_named_tensor()
    with gzip.open(GOLDEN / "dynamicrafter" / f"checkpoint_{KEY_LISTS[variant]}.json.gz") as file:
        shapes = json.load(file)["state_dict"]
    tensors = {
        key: torch.from_numpy(np.asarray(named_tensor(key, tuple(shape)))).to(dtype)
        for key, (shape, _) in shapes.items()
    }
    base_scale = variant_named(variant).base_scale
    if base_scale is not None:
        tensors["scale_arr"] = torch.full((1400,), base_scale, dtype=dtype)
    if path.suffix == ".safetensors":
        save_file(tensors, path)
    else:
        torch.save({"state_dict": tensors}, path)


def drop_from_page_cache(path: Path) -> None:
    """Ask the system to read the file from disk next time."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def memory(kind: str) -> int:
    """Return this process's memory [bytes] of a kind in /proc/self/status."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(kind + ":"):
            return int(line.split()[1]) * 1024
    raise KeyError(kind)


class PeakMemory(threading.Thread):
    """Samples anonymous memory until stopped."""

    def __init__(self):
        super().__init__(daemon=True)
        self.base = self.peak = memory("RssAnon")
        self.stopped = threading.Event()

    def run(self) -> None:
        """Sample."""
        while not self.stopped.wait(0.01):
            self.peak = max(self.peak, memory("RssAnon"))

    def stop(self) -> int:
        """Return the peak above the starting value [bytes]."""
        self.stopped.set()
        self.join()
        return max(self.peak, memory("RssAnon")) - self.base


def measure(path: Path, variant: str, wanted: str, device: str) -> dict[str, float]:
    """Load once in this process; check some values; return seconds and GiB."""
    dtype = getattr(torch, wanted)
    peak = PeakMemory()
    peak.start()
    start = time.perf_counter()
    modules = load_official(path, variant_named(variant), dtype=dtype, device=device)
    seconds = time.perf_counter() - start
    result = {"seconds": seconds, "peak anonymous": peak.stop() / GIB, "mapped": memory("RssFile") / GIB}
    start = time.perf_counter()
    total = sum(float(p.float().abs().sum()) for m in modules.named().values() for p in m.parameters())
    assert np.isfinite(total)
    result["seconds to read all"] = time.perf_counter() - start
    named_tensor = load_named_tensor()
    for key, (component, name) in PROBES.items():
        loaded = modules.named()[component].state_dict()[name]
        expected = torch.from_numpy(named_tensor(key, tuple(loaded.shape)))
        torch.testing.assert_close(loaded.cpu().float(), expected, rtol=1e-2, atol=1e-3)
    size = sum(p.numel() * p.element_size() for m in modules.named().values() for p in m.parameters())
    return result | {"parameters": size / GIB}


def main() -> None:
    """Write, measure, remove."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--variant", choices=list(KEY_LISTS), default="512")
    parser.add_argument("--stored", choices=["float32", "float16", "bfloat16"], default="bfloat16")
    parser.add_argument("--wanted", nargs="+", choices=["float32", "float16", "bfloat16"], default=["bfloat16"])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--format", choices=["ckpt", "safetensors"], default="ckpt")
    parser.add_argument("--folder", type=Path, help="where to make the temporary folder")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(dir=arguments.folder))
    try:
        path = folder / f"model.{arguments.format}"
        start = time.perf_counter()
        context = multiprocessing.get_context("spawn")
        with context.Pool(1) as pool:
            pool.apply(write_checkpoint, (path, arguments.variant, getattr(torch, arguments.stored)))
        print(f"{path.name}: {path.stat().st_size / GIB:.2f} GiB, written in {time.perf_counter() - start:.0f} s")
        for wanted in arguments.wanted:
            drop_from_page_cache(path)
            with context.Pool(1) as pool:
                row = pool.apply(measure, (path, arguments.variant, wanted, arguments.device))
            values = ", ".join(f"{name} {value:.2f}" for name, value in row.items())
            print(f"{arguments.stored} -> {wanted} on {arguments.device} [s, GiB]: {values}")
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
