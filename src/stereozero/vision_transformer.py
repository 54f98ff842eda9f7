"""The vision transformers that features come from: DINO (arXiv 2104.14294) and DINOv2 (arXiv 2304.07193).

One module for both: its parameters have the names of the official checkpoints, and `forward_features` returns what
DINOv2's does, so that it can stand in for a model from torch.hub and the other way round. How the position table is
resampled was learned from facebookresearch/dino and facebookresearch/dinov2 (both Apache-2.0).
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.nn.functional as nnf
from safetensors.torch import save_file
from torch import Tensor, nn

from stereozero.artifacts import atomic_path, write_json
from stereozero.checkpoint_file import check_keys, read_checkpoint
from stereozero.errors import InputError

CONFIG, WEIGHTS = "config.json", "model.safetensors"
_SCALE_OFFSET = 0.1  # added to the wanted number of patches before the table is resampled


@dataclass(frozen=True)
class VitConfig:
    """The shape of a vision transformer.

    Args:
        image_size: side of the square image that the position table is for [px].
        patch_size: side of a patch [px].
        width: of a token.
        depth: number of blocks.
        heads: of every attention.
        mlp_ratio: hidden width of the MLPs over `width`.
        registers: number of register tokens (arXiv 2309.16588).
        layer_scale: learned gains behind attention and MLP; DINOv2 has them.
        mask_token: learned stand-in for hidden patches; DINOv2 has it.
    """

    image_size: int
    patch_size: int
    width: int
    depth: int
    heads: int
    mlp_ratio: int = 4
    registers: int = 0
    layer_scale: bool = True
    mask_token: bool = True


DINO_VITS16 = VitConfig(224, 16, 384, 12, 6, layer_scale=False, mask_token=False)
DINOV2 = {
    "dinov2_vits14": VitConfig(518, 14, 384, 12, 6),
    "dinov2_vits14_reg": VitConfig(518, 14, 384, 12, 6, registers=4),
    "dinov2_vitb14": VitConfig(518, 14, 768, 12, 12),
    "dinov2_vitb14_reg": VitConfig(518, 14, 768, 12, 12, registers=4),
    "dinov2_vitl14": VitConfig(518, 14, 1024, 24, 16),
    "dinov2_vitl14_reg": VitConfig(518, 14, 1024, 24, 16, registers=4),
}


class VisionTransformer(nn.Module):
    """A vision transformer under the official key names.

    Args:
        config: its shape.
    """

    def __init__(self, config: VitConfig):
        super().__init__()
        self.config = config
        self.patch_size = config.patch_size
        patches = (config.image_size // config.patch_size) ** 2
        self.cls_token = nn.Parameter(torch.zeros(1, 1, config.width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + patches, config.width))
        if config.registers:
            self.register_tokens = nn.Parameter(torch.zeros(1, config.registers, config.width))
        if config.mask_token:
            self.mask_token = nn.Parameter(torch.zeros(1, config.width))
        self.patch_embed = _PatchEmbedding(config)
        self.blocks = nn.ModuleList(_Block(config) for _ in range(config.depth))
        self.norm = nn.LayerNorm(config.width, eps=1e-6)

    def forward_features(self, images: Tensor, masks: Tensor | None = None) -> dict[str, Tensor]:
        """Return the tokens after the last norm.

        Args:
            images: (B, 3, H, W), normalised; H and W multiples of the patch size.
            masks: (B, patches) bool, True where a patch is hidden behind the mask token; for training.

        Returns:
            "x_norm_clstoken" (B, D), "x_norm_regtokens" (B, R, D) and "x_norm_patchtokens" (B, patches, D), row by row.

        Raises:
            InputError: a side is no multiple of the patch size.
        """
        tokens = self.embed(images, masks)  # (B, 1 + R + N, D)
        for block in self.blocks:
            tokens = block(tokens)
        tokens = self.norm(tokens)
        first = 1 + self.config.registers
        return {
            "x_norm_clstoken": tokens[:, 0],
            "x_norm_regtokens": tokens[:, 1:first],
            "x_norm_patchtokens": tokens[:, first:],
        }

    def forward(self, images: Tensor) -> Tensor:
        """Return the class token (B, D), as the official hub models do."""
        return self.forward_features(images)["x_norm_clstoken"]

    def position_table(self, rows: int, columns: int) -> Tensor:
        """Return the position embeddings of the class token and rows x columns patches: (1, 1 + N, D).

        The table is resampled bicubically unless it fits. With registers to the wanted size, with an antialiasing
        filter; without them by the factor (wanted + 0.1) / stored, unfiltered, which shifts the sampling points a
        little.
        """
        side = self.config.image_size // self.patch_size
        if rows == columns == side:
            return self.pos_embed
        classes, patches = self.pos_embed[:, :1], self.pos_embed[:, 1:]
        square = patches.unflatten(1, (side, side)).permute(0, 3, 1, 2)  # (1, D, side, side)
        if self.config.registers:
            resampled = nnf.interpolate(square, size=(rows, columns), mode="bicubic", antialias=True)
        else:
            factors = tuple((wanted + _SCALE_OFFSET) / side for wanted in (rows, columns))
            resampled = nnf.interpolate(square, scale_factor=factors, mode="bicubic")  # (1, D, rows, columns)
        return torch.cat([classes, resampled.flatten(2).transpose(1, 2)], dim=1)  # (1, 1 + N, D)

    def embed(self, images: Tensor, masks: Tensor | None = None) -> Tensor:
        """Return the tokens before the first block (B, 1 + R + N, D); see :meth:`forward_features`."""
        height, width = images.shape[-2:]
        check_multiples(height, width, self.patch_size)
        patches = self.patch_embed(images)  # (B, N, D)
        if masks is not None:
            patches = torch.where(masks[..., None], self.mask_token, patches)
        classes = self.cls_token.expand(len(images), -1, -1)  # (B, 1, D)
        tokens = torch.cat([classes, patches], dim=1)  # (B, 1 + N, D)
        tokens = tokens + self.position_table(height // self.patch_size, width // self.patch_size)
        if not self.config.registers:
            return tokens
        registers = self.register_tokens.expand(len(images), -1, -1)  # (B, R, D)
        return torch.cat([tokens[:, :1], registers, tokens[:, 1:]], dim=1)  # (B, 1 + R + N, D)


class _PatchEmbedding(nn.Module):
    def __init__(self, config: VitConfig):
        super().__init__()
        self.proj = nn.Conv2d(3, config.width, config.patch_size, stride=config.patch_size)

    def forward(self, images: Tensor) -> Tensor:
        return self.proj(images).flatten(2).transpose(1, 2)  # (B, N, D)


class _Attention(nn.Module):
    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        parts = self.qkv(tokens).unflatten(-1, (3, self.heads, -1))  # (B, L, 3, heads, d)
        queries, keys, values = parts.permute(2, 0, 3, 1, 4)  # (B, heads, L, d) each
        attended = nnf.scaled_dot_product_attention(queries, keys, values)  # (B, heads, L, d)
        return self.proj(attended.transpose(1, 2).flatten(2))  # (B, L, D)


class _Mlp(nn.Module):
    def __init__(self, width: int, hidden: int):
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.fc2(nnf.gelu(self.fc1(tokens)))  # (B, L, D)


class _LayerScale(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(width))

    def forward(self, tokens: Tensor) -> Tensor:
        return tokens * self.gamma


class _Block(nn.Module):
    def __init__(self, config: VitConfig):
        super().__init__()
        width = config.width
        self.norm1, self.norm2 = nn.LayerNorm(width, eps=1e-6), nn.LayerNorm(width, eps=1e-6)
        self.attn = _Attention(width, config.heads)
        self.mlp = _Mlp(width, config.mlp_ratio * width)
        self.ls1, self.ls2 = (_LayerScale(width) if config.layer_scale else nn.Identity() for _ in range(2))

    def forward(self, tokens: Tensor) -> Tensor:
        tokens = tokens + self.ls1(self.attn(self.norm1(tokens)))  # (B, L, D)
        return tokens + self.ls2(self.mlp(self.norm2(tokens)))  # (B, L, D)


def check_multiples(height: int, width: int, factor: int) -> None:
    """Check that an image can be cut into patches.

    Raises:
        InputError: a side is no multiple of `factor`.
    """
    if height % factor or width % factor:
        raise InputError(
            f"images are {height} x {width} pixels (height x width); this network needs multiples of {factor}"
        )


def save_vit(network: VisionTransformer, folder: Path) -> None:
    """Write a network's shape and its weights, as float16, into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / CONFIG, asdict(network.config))
    with atomic_path(folder / WEIGHTS) as temporary:
        save_file({name: tensor.half().contiguous() for name, tensor in network.state_dict().items()}, temporary)


def read_vit(folder: Path, pretrained: bool = True) -> VisionTransformer:
    """Read what `save_vit` wrote, as float32, for inference.

    Args:
        folder: with config.json and model.safetensors.
        pretrained: False leaves the weights untrained and needs no weights file, as in torch.hub's entries.

    Raises:
        InputError: a file is missing or damaged, or the weights do not fit the shape.
    """
    try:
        network = VisionTransformer(VitConfig(**json.loads((folder / CONFIG).read_text(encoding="utf-8"))))
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"{folder / CONFIG}: is not the shape of a saved vision transformer ({error})") from error
    if pretrained:
        load_weights(network, folder / WEIGHTS)
    return network.requires_grad_(False).eval()


def load_weights(network: nn.Module, path: Path, prefix: str = "") -> None:
    """Give a network, strictly, the weights of a file.

    Args:
        network: what is filled.
        path: a PyTorch checkpoint or safetensors file of its parameters by name.
        prefix: of the keys that are meant; keys without it are left alone.

    Raises:
        InputError: the file is missing or damaged, or keys are missing, unexpected or of another shape.
    """
    content = read_checkpoint(path)
    tensors = {key.removeprefix(prefix): value.float() for key, value in content.items() if key.startswith(prefix)}
    check_keys(path, tensors, network.state_dict())
    network.load_state_dict(tensors)
