"""The tiny DUSt3R and MASt3R of the golden cases, with their named weights."""

from functools import cache
from pathlib import Path

import torch
from met3r_goldens import named_tensor, read_facts

from stereozero.metrics.met3r.checkpoint import fill
from stereozero.metrics.met3r.dust3r import Dust3r, Dust3rConfig
from stereozero.metrics.met3r.mast3r import Mast3r

CLASSES = {"dust3r": Dust3r, "mast3r": Mast3r}
SIZES = {"dim": "embed_dim", "depth": "depth", "heads": "num_heads"}
# Brings the points in front of the camera: see weight_overrides of the cases.
HEAD_BIAS = {"downstream_head1": [-0.9, -0.9, 1.5, 0.0], "downstream_head2": [0.15, 0.7, 1.5, 0.0]}


@cache
def official_tensors(name: str) -> dict[str, torch.Tensor]:
    """The tensors of a tiny checkpoint by official key; the two keys of a tensor share it, as in a .pth."""
    facts = read_facts(f"{name}_tiny")
    aliases = facts["aliases"]
    tensors = {key: named_tensor(key, shape) for key, (shape, _) in facts["params"].items() if key not in aliases}
    for head, bias in HEAD_BIAS.items():
        tensors[f"{head}.dpt.head.4.weight"] *= 0.35
        tensors[f"{head}.dpt.head.4.bias"] += torch.tensor(bias)
    return tensors | {alias: tensors[key] for alias, key in aliases.items()}


def tiny_config(name: str, *, landscape_only: bool = False) -> Dust3rConfig:
    arguments = read_facts(f"{name}_tiny")["ctor_args"]
    sizes = {
        f"{part}_{ours}": arguments[f"{part[:3]}_{theirs}"]
        for part in ("encoder", "decoder")
        for ours, theirs in SIZES.items()
    }
    return Dust3rConfig(**sizes, landscape_only=landscape_only)


def tiny_network(name: str, *, landscape_only: bool = False) -> Dust3r:
    """A tiny network of a golden case, ready for inference; ``name`` is "dust3r" or "mast3r"."""
    network = CLASSES[name].on_meta(tiny_config(name, landscape_only=landscape_only))
    fill(network, official_tensors(name), Path(name), device="cpu")
    return network
