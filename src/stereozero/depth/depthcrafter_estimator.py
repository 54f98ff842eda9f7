"""DepthCrafter as a depth estimator, for videos of any size, with latents that a stage can keep.

The estimation takes all steps and is done once; each dissolve level then takes one more:

    latents = estimator.estimate_latents(video)
    for step in (None, 10, 20):
        estimate = estimator.finish(video, latents, step)
"""

from torch import Tensor

from stereozero.depth.depthcrafter import DepthCrafter, DepthCrafterSettings, EstimationNoise, VideoCondition
from stereozero.depth.dissolve import check_dissolve_step, dissolve, encode_disparity
from stereozero.depth.estimator import (
    DepthEstimate,
    DepthKind,
    check_video,
    log_resizing,
    resize_frames,
    resize_maps,
)
from stereozero.errors import InputError


class DepthCrafterEstimator:
    """Implements :class:`stereozero.depth.estimator.DepthEstimator`.

    Videos whose height or width is not a multiple of the model's ``size_multiple`` (64 for the published networks) are
    resized to the nearest one, with another aspect ratio if need be, and the result is resized back.

    Args:
        model: the networks.
        settings: how they are sampled.
    """

    def __init__(self, model: DepthCrafter, settings: DepthCrafterSettings):
        self.model = model
        self.settings = settings

    def estimate(self, video: Tensor) -> DepthEstimate:
        """Estimate relative inverse depth, in [0, 1]; see the protocol."""
        return self.finish(video, self.estimate_latents(video), None)

    def estimate_latents(self, video: Tensor) -> Tensor:
        """Take all steps of the estimation of a video (F, 3, H, W) in [0, 1].

        Returns:
            (F, C, h, w) float32 on the CPU, for :meth:`finish`.

        Raises:
            InputError: see :func:`~stereozero.depth.estimator.check_video`.
        """
        check_video(video)
        log_resizing(video, *self.network_size(*video.shape[-2:]), "DepthCrafter")
        condition, noise = self._encode(video)
        return self.model.sample(condition, noise.initial, self.settings).cpu()

    def finish(self, video: Tensor, latents: Tensor, step: int | None) -> DepthEstimate:
        """Dissolve the latents of a video's estimation, unless ``step`` is None, and decode them.

        Args:
            video: (F, 3, H, W) in [0, 1], the same as for :meth:`estimate_latents`.
            latents: what that returned.
            step: see :func:`~stereozero.depth.dissolve.dissolve`.

        Returns:
            Relative inverse depth in [0, 1], at the video's size.

        Raises:
            InputError: a dissolve step that is none, or latents of another video.
        """
        check_dissolve_step(step)
        height, width = video.shape[-2:]
        cells = tuple(length // self.model.vae_factor for length in self.network_size(height, width))
        if latents.shape[0] != len(video) or latents.shape[-2:] != cells:
            raise InputError(
                f"latents: have the shape {tuple(latents.shape)}; {len(video)} frames of {cells[0]} x {cells[1]} cells "
                f"belong to a video of {width}x{height} pixels"
            )
        if step is not None:
            latents = dissolve(self.model, latents, self._encode(video)[0], step, self.settings)  # (F, C, h, w)
        depth = self.model.decode(latents, self.settings)  # (F, H', W')
        return DepthEstimate(resize_maps(depth, height, width), DepthKind.INVERSE)

    def dissolve_disparity(self, video: Tensor, disparity: Tensor, step: int | None) -> DepthEstimate:
        """Dissolve a disparity that another model estimated or that the user gave.

        Args:
            video: (F, 3, H, W) in [0, 1], which the disparity belongs to.
            disparity: (F, H, W) in [0, 1], 1 nearest.
            step: see :func:`~stereozero.depth.dissolve.dissolve`; with None the disparity isn't even encoded.

        Raises:
            InputError: no such video, a disparity of another size, or a wrong dissolve step.
        """
        check_video(video)
        expected = (len(video), *video.shape[-2:])
        if disparity.shape != expected:
            raise InputError(f"disparity: has the shape {tuple(disparity.shape)}; the video asks for {expected}")
        if step is None:
            return DepthEstimate(disparity.float(), DepthKind.INVERSE)
        resized = resize_maps(disparity.float(), *self.network_size(*video.shape[-2:]))  # (F, H', W')
        return self.finish(video, encode_disparity(self.model, resized, self.settings), step)

    def network_size(self, height: int, width: int) -> tuple[int, int]:
        """Return the height and width at which the networks see a video of this size."""
        unit = self.model.size_multiple
        return max(1, round(height / unit)) * unit, max(1, round(width / unit)) * unit

    def _encode(self, video: Tensor) -> tuple[VideoCondition, EstimationNoise]:
        height, width = self.network_size(*video.shape[-2:])
        resized = resize_frames(video.float(), height, width).clamp(0, 1)  # (F, 3, H', W')
        noise = self.model.draw_noise(len(video), height, width, self.settings)
        return self.model.encode(resized, noise.augmentation, self.settings), noise
