"""Tiny networks of the published depth models' classes with random weights: for sizes and loading, not for results."""

import torch
from transformers import (
    DepthAnythingConfig,
    DepthAnythingForDepthEstimation,
    DepthProConfig,
    DepthProForDepthEstimation,
    Dinov2Config,
)


def tiny_depth_anything(channels: int = 8, head_channels: int = 4, **options) -> DepthAnythingForDepthEstimation:
    """Return a Depth Anything of four blocks; 59 thousand parameters by default."""
    torch.manual_seed(0)
    backbone = Dinov2Config(
        hidden_size=24,
        num_hidden_layers=4,
        num_attention_heads=2,
        image_size=70,
        patch_size=14,
        out_indices=[1, 2, 3, 4],
        reshape_hidden_states=False,
    )
    config = DepthAnythingConfig(
        backbone_config=backbone,
        reassemble_hidden_size=24,
        neck_hidden_sizes=[channels] * 4,
        fusion_hidden_size=channels,
        head_hidden_size=head_channels,
        patch_size=14,
        **options,
    )
    return DepthAnythingForDepthEstimation(config).eval()


def tiny_depth_pro(field_of_view: float | None = 60.0) -> DepthProForDepthEstimation:
    """Return a Depth Pro that sees 128 x 128 pixels and always the same field of view [degrees]; None for none."""
    torch.manual_seed(0)
    config = DepthProConfig(
        fusion_hidden_size=16,
        patch_size=32,
        intermediate_hook_ids=[3, 1],
        intermediate_feature_dims=[16, 16],
        scaled_images_ratios=[0.25, 0.5, 1.0],
        scaled_images_overlap_ratios=[0.0, 0.5, 0.25],
        scaled_images_feature_dims=[16, 16, 8],
        use_fov_model=field_of_view is not None,
        image_model_config=_tiny_dinov2(),
        patch_model_config=_tiny_dinov2(),
        fov_model_config=_tiny_dinov2(),
    )
    network = DepthProForDepthEstimation(config).eval()
    torch.nn.init.constant_(network.head.layers[-2].bias, 0.5)  # canonical inverse depth around 0.5
    if field_of_view is not None:
        torch.nn.init.zeros_(network.fov_model.head.layers[-1].weight)
        torch.nn.init.constant_(network.fov_model.head.layers[-1].bias, field_of_view)
    return network


def _tiny_dinov2() -> Dinov2Config:
    return Dinov2Config(hidden_size=16, num_hidden_layers=4, num_attention_heads=2, image_size=32, patch_size=8)
