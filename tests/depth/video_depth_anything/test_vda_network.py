import re

import pytest
import torch
from diffusers.models.attention import BasicTransformerBlock
from tiny_depth_models import tiny_depth_anything
from tiny_vda import TINY, tiny_network

from stereozero.depth.video_depth_anything import VideoDepthAnything
from stereozero.depth.video_depth_anything.checkpoint import UNUSED
from stereozero.depth.video_depth_anything.encoder import Encoder
from stereozero.depth.video_depth_anything.motion import PositionEncoding, TemporalBlock

NAMES = [  # Video Depth Anything's names of an image model's parameters, and transformers'
    (r"pretrained\.(cls_token|mask_token)", r"backbone.embeddings.\1"),
    (r"pretrained\.patch_embed\.proj", r"backbone.embeddings.patch_embeddings.projection"),
    (r"pretrained\.blocks\.(\d+)\.attn\.proj", r"backbone.encoder.layer.\1.attention.o_proj"),
    (r"pretrained\.blocks\.(\d+)\.ls([12])\.gamma", r"backbone.encoder.layer.\1.layer_scale\2.lambda1"),
    (r"pretrained\.blocks", r"backbone.encoder.layer"),
    (r"pretrained\.norm", r"backbone.layernorm"),
    (r"head\.projects\.(\d)", r"neck.reassemble_stage.layers.\1.projection"),
    (r"head\.resize_layers\.(\d)", r"neck.reassemble_stage.layers.\1.resize"),
    (r"head\.scratch\.output_conv1", r"head.conv1"),
    (r"head\.scratch\.output_conv2\.0", r"head.conv2"),
    (r"head\.scratch\.output_conv2\.2", r"head.conv3"),
]


def image_model_tensors(network, size: int) -> dict[str, torch.Tensor]:
    """Return the parameters of transformers' Depth Anything by Video Depth Anything's names."""
    theirs = network.state_dict()

    def tensor(key: str) -> torch.Tensor:
        if key == "pretrained.pos_embed":
            return torch.zeros(1, 1 + size**2, TINY.width)
        if match := re.fullmatch(r"pretrained\.blocks\.(\d+)\.attn\.qkv\.(\w+)", key):
            layer, kind = match.groups()
            return torch.cat([theirs[f"backbone.encoder.layer.{layer}.attention.{x}_proj.{kind}"] for x in "qkv"])
        if match := re.fullmatch(r"head\.scratch\.layer(\d)_rn\.weight", key):
            return theirs[f"neck.convs.{int(match[1]) - 1}.weight"]
        if match := re.fullmatch(r"head\.scratch\.refinenet(\d)\.(?:resConfUnit(\d)\.conv(\d)|out_conv)\.(\w+)", key):
            level, unit, convolution, kind = match.groups()
            part = f"residual_layer{unit}.convolution{convolution}" if unit else "projection"
            return theirs[f"neck.fusion_stage.layers.{4 - int(level)}.{part}.{kind}"]
        for ours, name in NAMES:
            key = re.sub(ours, name, key)
        return theirs[key]

    keys = [key for key in VideoDepthAnything(TINY).state_dict() if not key.startswith("head.motion_modules")]
    return {key: tensor(key) for key in keys}


def random_clip(frames: int, height: int, width: int) -> torch.Tensor:
    return torch.randn(frames, 3, height, width, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("size", [(70, 98), (84, 56)])
def test_without_attention_over_time_it_is_depth_anything(size):
    image_model = tiny_depth_anything(channels=32, head_channels=32)
    for parameter in image_model.parameters():
        torch.nn.init.normal_(parameter, std=parameter[0].numel() ** -0.5 if parameter.ndim > 1 else 0.5)
    image_model.head.conv3.bias.data.fill_(5.0)
    image_model.backbone.embeddings.position_embeddings.data.zero_()  # resampled otherwise in transformers
    network = tiny_network()
    tensors = network.state_dict() | image_model_tensors(image_model, size=37)
    tensors |= {
        key: torch.zeros_like(value) for key, value in tensors.items() if "temporal_transformer.proj_out" in key
    }
    network.load_state_dict(tensors)
    clip = random_clip(3, *size)
    with torch.no_grad():
        expected = image_model(pixel_values=clip).predicted_depth
        result = network(clip)
    assert expected.std() > 0.1
    torch.testing.assert_close(result, expected, rtol=1e-4, atol=1e-4)


def test_attention_over_time_is_animatediffs():
    torch.manual_seed(0)
    theirs = BasicTransformerBlock(
        64,
        num_attention_heads=8,
        attention_head_dim=8,
        activation_fn="geglu",
        double_self_attention=True,
        positional_embeddings="sinusoidal",
        num_positional_embeddings=32,
    )
    ours = TemporalBlock(64)
    names = {"norm1": "norms.0", "norm2": "norms.1", "norm3": "ff_norm"}
    names |= {"attn1": "attention_blocks.0", "attn2": "attention_blocks.1", "ff": "ff"}
    state = theirs.state_dict()
    of_positions = state.pop("pos_embed.pe")
    tensors = {".".join([names[key.partition(".")[0]], key.partition(".")[2]]): value for key, value in state.items()}
    tensors |= {f"attention_blocks.{i}.pos_encoder.pe": of_positions for i in (0, 1)}
    ours.load_state_dict(tensors, strict=True)
    tokens = torch.randn(5, 17, 64)
    torch.testing.assert_close(ours(tokens), theirs(tokens), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(PositionEncoding(64).pe, of_positions)


def test_every_frame_sees_every_other():
    network = tiny_network()
    clip = random_clip(6, 42, 56)
    changed = clip.clone()
    changed[4] += 1
    difference = (network(changed) - network(clip)).abs().amax((1, 2))
    assert (difference > 1e-3).all()


def test_the_order_of_frames_matters():
    network = tiny_network()
    clip = random_clip(4, 42, 56)
    assert (network(clip.flip(0)).flip(0) - network(clip)).abs().max() > 1e-3


def test_more_frames_than_the_encoder_takes_at_once():
    network = tiny_network()
    clip = random_clip(11, 42, 56)
    maps = network.pretrained(clip)
    torch.testing.assert_close(network(clip), network.head(maps, 11), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("grid", [(1, 1), (5, 7), (23, 37), (37, 37), (37, 66), (74, 74)])
def test_positions_fit_any_grid(grid):
    encoder = Encoder(24, 1, 2, (0,)).requires_grad_(False)
    column = torch.linspace(0, 1, 37).expand(37, 37).flatten()
    encoder.pos_embed[:] = torch.cat([torch.tensor([7.0]), column])[None, :, None]
    positions = encoder.position_table(*grid)
    assert positions.shape == (1, 1 + grid[0] * grid[1], 24)
    assert (positions[:, 0] == 7).all()
    across = positions[0, 1:, 0].reshape(grid)
    assert (across.diff(dim=1) > 0).all()
    torch.testing.assert_close(across, across[:1].expand(grid), rtol=0, atol=1e-5)
    if grid[1] > 1:
        assert across[0, 0] == pytest.approx(0, abs=0.1)
        assert across[0, -1] == pytest.approx(1, abs=0.1)


def test_unused_keys_are_no_parameters():
    assert not any(key.startswith(UNUSED) for key in tiny_network().state_dict())
