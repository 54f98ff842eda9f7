"""The video UNet of DynamiCrafter.

Facts about its layout were learned from Doubiiu/DynamiCrafter (Apache-2.0), lvdm/modules/networks/openaimodel3d.py and
lvdm/modules/attention.py. What all three official configurations share is fixed here: temporal transformers with
self-attention only, no relative positions, no causal mask, temporal convolutions, initial attention, image
cross-attention, frame-stride embedding. Parameter names are the official ones (``temopral_conv``, a misspelling of the
checkpoints, is ``temporal_conv`` here; see :mod:`stereozero.backbones.dynamicrafter.official_keys`).
"""

from collections.abc import Iterator, Mapping

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from diffusers.models.embeddings import get_timestep_embedding
from torch import Tensor, nn

from stereozero.backbones.dynamicrafter.attention import (
    Attention,
    AttentionProcessor,
    SpatialTransformer,
    TemporalTransformer,
    zero_initialised,
)
from stereozero.backbones.dynamicrafter.blocks import Downsample, InputConvolution, ResidualBlock, Stage, Upsample
from stereozero.backbones.dynamicrafter.step_inputs import StepInputs
from stereozero.errors import InputError


class VideoUNet(ModelMixin, ConfigMixin):
    """Predicts noise or velocity of video latents. The defaults are the official 512 and 1024 models.

    Args:
        in_channels: noisy latent plus image latent.
        out_channels: latent channels.
        model_channels: width of the first level.
        channel_mult: width of each level in units of ``model_channels``.
        num_res_blocks: residual blocks a level.
        attention_resolutions: downsampling factors at which there are transformers.
        num_head_channels: width of an attention head; must divide every width with transformers.
        transformer_depth: blocks a transformer.
        context_dim: width of text and image tokens.
        dropout: in the residual blocks, for training.
        default_fs: frame stride (256) or frames a second (512, 1024) used where none is given.
        learned_image_scale: trained weight of the image cross-attention (the 256 model).
        init_attention_heads: heads of the initial temporal transformer.
        norm_num_groups: groups of every GroupNorm; must divide ``model_channels``.

    Raises:
        InputError: widths that the groups or head widths don't divide.
    """

    _supports_gradient_checkpointing = True

    @register_to_config
    def __init__(
        self,
        in_channels: int = 8,
        out_channels: int = 4,
        model_channels: int = 320,
        channel_mult: tuple[int, ...] = (1, 2, 4, 4),
        num_res_blocks: int = 2,
        attention_resolutions: tuple[int, ...] = (4, 2, 1),
        num_head_channels: int = 64,
        transformer_depth: int = 1,
        context_dim: int = 1024,
        dropout: float = 0.1,
        default_fs: int = 24,
        learned_image_scale: bool = False,
        init_attention_heads: int = 8,
        norm_num_groups: int = 32,
    ):
        super().__init__()
        self._check_widths()
        self.gradient_checkpointing = False
        self.time_embed = self._embedding_layers()
        self.fps_embedding = self._embedding_layers()
        zero_initialised(self.fps_embedding[-1])

        widths = [model_channels * factor for factor in channel_mult]
        last_level = len(widths) - 1
        channels = model_channels
        skips = [channels]
        self.input_blocks = nn.ModuleList([Stage(InputConvolution(in_channels, channels))])
        self.init_attn = Stage(
            TemporalTransformer(
                channels,
                num_head_channels,
                transformer_depth,
                norm_num_groups,
                heads=init_attention_heads,
                pointwise=True,
            )
        )
        for level, width in enumerate(widths):
            for _ in range(num_res_blocks):
                self.input_blocks.append(Stage(*self._layers(channels, width, level)))
                channels = width
                skips.append(channels)
            if level != last_level:
                self.input_blocks.append(Stage(Downsample(channels)))
                skips.append(channels)

        self.middle_block = Stage(
            self._residual(channels, channels), *self._transformers(channels), self._residual(channels, channels)
        )

        self.output_blocks = nn.ModuleList()
        for level, width in reversed(list(enumerate(widths))):
            for index in range(num_res_blocks + 1):
                layers = self._layers(channels + skips.pop(), width, level)
                channels = width
                if level > 0 and index == num_res_blocks:
                    layers.append(Upsample(channels))
                self.output_blocks.append(Stage(*layers))

        self.out = nn.Sequential(
            nn.GroupNorm(norm_num_groups, channels),
            nn.SiLU(),
            zero_initialised(nn.Conv2d(channels, out_channels, 3, padding=1)),
        )

    def forward(
        self, sample: Tensor, timesteps: Tensor | int, text: Tensor, image: Tensor, fs: Tensor | int | None = None
    ) -> Tensor:
        """Evaluate the network.

        Args:
            sample: (B, in_channels, F, h, w), noisy latents then image latents. h and w must be multiples of
                2 ** (levels - 1).
            timesteps: training timestep, one for all clips or (B,).
            text: (B, Lt, context_dim) text tokens (77 for the official models).
            image: image tokens, (B, F, Li, context_dim) for one set a frame or (B, Li, context_dim) shared by all.
            fs: frame stride or frames a second, one for all clips or (B,); ``default_fs`` if None.

        Returns:
            (B, out_channels, F, h, w)

        Raises:
            InputError: h or w is not a multiple of what the levels need, or image tokens of another number of frames.
        """
        self._check_inputs(sample, image)
        fs = self.config.default_fs if fs is None else fs
        embedding = self.time_embed(self._sinusoid(timesteps, sample))  # (B, E)
        embedding = embedding + self.fps_embedding(self._sinusoid(fs, sample))  # (B, E)
        if image.ndim == 4:
            image = image.flatten(0, 1)  # (B * F, Li, D)
        step = StepInputs(embedding, text, image, frames=sample.shape[2])

        features = sample.transpose(1, 2).flatten(0, 1)  # (B * F, in, h, w)
        skips = []
        for index, stage in enumerate(self.input_blocks):
            features = self._run(stage, features, step)  # (B * F, C, h', w')
            if index == 0:
                features = self._run(self.init_attn, features, step)
            skips.append(features)
        features = self._run(self.middle_block, features, step)
        for stage in self.output_blocks:
            features = self._run(stage, torch.cat([features, skips.pop()], dim=1), step)
        return step.as_video(self.out(features))  # (B, out, F, h, w)

    def named_attentions(self) -> Iterator[tuple[str, Attention]]:
        """Yield name and module of every attention that cross-view attention may edit, in execution order.

        These are attn1 and attn2 of the spatial and temporal transformers in the input, middle and output blocks: 64
        in the official models. The two of the initial attention are left out, as in StereoCrafter-Zero.
        """
        for name, module in self.named_modules():
            if isinstance(module, Attention) and not name.startswith("init_attn."):
                yield name, module

    @property
    def attn_processors(self) -> dict[str, AttentionProcessor]:
        """Processor of every attention (the initial one included), by module name."""
        return {name: module.processor for name, module in self.named_modules() if isinstance(module, Attention)}

    def set_attn_processor(self, processor: AttentionProcessor | Mapping[str, AttentionProcessor]) -> None:
        """Set one processor for all attentions, or a processor for each module named in a mapping.

        Raises:
            InputError: a name that is no attention module.
        """
        modules = {name: module for name, module in self.named_modules() if isinstance(module, Attention)}
        chosen = processor if isinstance(processor, Mapping) else dict.fromkeys(modules, processor)
        if unknown := sorted(chosen.keys() - modules.keys()):
            raise InputError(f"no attention modules of this UNet: {', '.join(unknown)}")
        for name, one in chosen.items():
            modules[name].processor = one

    def _run(self, stage: Stage, features: Tensor, step: StepInputs) -> Tensor:
        if self.gradient_checkpointing and torch.is_grad_enabled():
            return self._gradient_checkpointing_func(stage, features, step)
        return stage(features, step)

    def _sinusoid(self, values: Tensor | int, sample: Tensor) -> Tensor:
        values = torch.as_tensor(values, device=sample.device).expand(len(sample))  # (B,)
        embedding = get_timestep_embedding(
            values, self.config.model_channels, flip_sin_to_cos=True, downscale_freq_shift=0
        )  # (B, model_channels)
        return embedding.to(sample.dtype)

    def _embedding_layers(self) -> nn.Sequential:
        width = self.config.model_channels
        return nn.Sequential(nn.Linear(width, 4 * width), nn.SiLU(), nn.Linear(4 * width, 4 * width))

    def _layers(self, in_channels: int, out_channels: int, level: int) -> list[nn.Module]:
        attends = 2**level in self.config.attention_resolutions
        return [self._residual(in_channels, out_channels), *(self._transformers(out_channels) if attends else [])]

    def _residual(self, in_channels: int, out_channels: int) -> ResidualBlock:
        config = self.config
        return ResidualBlock(
            in_channels, out_channels, 4 * config.model_channels, config.dropout, config.norm_num_groups
        )

    def _transformers(self, channels: int) -> list[nn.Module]:
        config = self.config
        spatial = SpatialTransformer(
            channels,
            config.num_head_channels,
            config.transformer_depth,
            config.context_dim,
            config.norm_num_groups,
            learned_image_scale=config.learned_image_scale,
        )
        temporal = TemporalTransformer(
            channels, config.num_head_channels, config.transformer_depth, config.norm_num_groups
        )
        return [spatial, temporal]

    def _check_widths(self) -> None:
        config = self.config
        for name in ("norm_num_groups", "num_head_channels"):
            if config.model_channels % config[name]:
                raise InputError(
                    f"model_channels = {config.model_channels} is not a multiple of {name} = {config[name]}"
                )

    def _check_inputs(self, sample: Tensor, image: Tensor) -> None:
        factor = 2 ** (len(self.config.channel_mult) - 1)
        frames, height, width = sample.shape[-3:]
        if height % factor or width % factor:
            raise InputError(f"latent size {height} x {width}: height and width must be multiples of {factor}")
        if image.ndim == 4 and image.shape[1] != frames:
            raise InputError(
                f"a clip of {frames} frames, but image tokens for {image.shape[1]}: the model makes no other"
            )
