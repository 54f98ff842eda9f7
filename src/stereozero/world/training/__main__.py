"""``python -m stereozero.world.training``: train the embedded models, one network a call.

The generator in this order: vae, decoder, clip, unet, evaluate, export. The depth model: depth-vae, depth,
evaluate-depth, export-depth. The feature models: features-clip and features-dino, evaluate-features, export-features.
The image model, with the exported generator's encoders: image-unet, export-image. Each training saves as it goes and
goes on where it was saved; "adopt" prepares going on from an exported generator, whose UNet may be half as wide,
"adopt-rest" the same for its decoder and UNet once the VAE has been trained on, and "adopt-image" going on from an
exported image model.
"""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from stereozero.device import resolve_device
from stereozero.errors import StereoZeroError
from stereozero.world.training import adoption, depth_stages, features_stages, image_unet, stages
from stereozero.world.training.allocation import keep_freed_memory
from stereozero.world.training.evaluation import SamplingSettings

TRAININGS = {
    "vae": stages.train_vae,
    "decoder": stages.train_decoder,
    "clip": stages.train_clip,
    "unet": stages.train_unet,
    depth_stages.VAE: depth_stages.train_depth_vae,
    depth_stages.MODEL: depth_stages.train_depth,
    features_stages.CLIP: features_stages.train_clip,
    features_stages.DINO: features_stages.train_dino,
    "image-unet": image_unet.train_image_unet,
}
EVALUATIONS = {  # besides that of the generator, which also takes how to sample
    "evaluate-depth": depth_stages.evaluate_depth,
    "evaluate-features": features_stages.evaluate_features,
}
EXPORTS = {
    "export": stages.export_generator,
    "export-depth": depth_stages.export_depth,
    "export-features": features_stages.export_features,
    "export-image": image_unet.export_image_model,
}
ADOPTIONS = {
    "adopt": adoption.adopt_generator,
    "adopt-rest": adoption.adopt_rest,
    "adopt-image": adoption.adopt_image_model,
}
_STEPS = stages.STEPS | depth_stages.STEPS | features_stages.STEPS | image_unet.STEPS


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one part; returns the exit status."""
    given = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    try:
        if given.what in TRAININGS:
            TRAININGS[given.what](given.work_dir, given.steps, resolve_device(given.device))
        elif given.what == "evaluate":
            sampling = SamplingSettings(given.clips, guidance=given.guidance)
            stages.evaluate_generator(given.work_dir, sampling, resolve_device(given.device))
        elif given.what in EVALUATIONS:
            EVALUATIONS[given.what](given.work_dir, given.clips, resolve_device(given.device))
        elif given.what in EXPORTS:
            EXPORTS[given.what](given.work_dir, given.to)
        else:
            ADOPTIONS[given.what](given.work_dir, given.model)
    except StereoZeroError as error:
        sys.exit(f"{error}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m stereozero.world.training", description=__doc__)
    parts = parser.add_subparsers(dest="what", required=True)
    for name, train in TRAININGS.items():
        part = _part(parts, name, train.__doc__)
        part.add_argument("--steps", type=int, default=_STEPS[name], help="in all; default: %(default)s")
        part.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    for name, evaluate in {"evaluate": stages.evaluate_generator, **EVALUATIONS}.items():
        part = _part(parts, name, evaluate.__doc__)
        part.add_argument("--clips", type=int, default=48, help="held-out clips; default: %(default)s")
        part.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    parts.choices["evaluate"].add_argument(
        "--guidance", type=float, default=SamplingSettings.guidance, help="1 is none; default: %(default)s"
    )
    for name, export in EXPORTS.items():
        part = _part(parts, name, export.__doc__)
        part.add_argument("--to", type=Path, default=Path("models") / _model(name), help="default: %(default)s")
    for name, adopt in ADOPTIONS.items():
        part = _part(parts, name, adopt.__doc__)
        part.add_argument("--model", type=Path, default=Path("models") / _model(name), help="default: %(default)s")
    return parser


def _part(parts: argparse._SubParsersAction, name: str, documented: str) -> argparse.ArgumentParser:
    text = documented.splitlines()[0]
    part = parts.add_parser(name, help=text, description=text)
    part.add_argument("--work-dir", type=Path, default=Path("build") / _model(name), help="default: %(default)s")
    return part


def _model(name: str) -> str:
    """Return the embedded model that a part belongs to."""
    return next((model for model in ("depth", "features", "image") if model in name), "generator")


if __name__ == "__main__":
    keep_freed_memory()  # not in main(): it is for good, and a caller's process is not ours
    sys.exit(main())
