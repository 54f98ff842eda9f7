"""Convert: target views made by methods of others, behind adapters; see :mod:`stereozero.baselines.declaration`."""

import functools
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stereozero.artifacts import Artifact
from stereozero.baselines.readiness import PROGRAMS, adapter_of, declaration_of, options_of, program_of
from stereozero.config.methods import External, StereoDiffusion
from stereozero.device import resolve_device
from stereozero.manifest import Clip
from stereozero.plan import Plan
from stereozero.stages.depth import shown_disparity
from stereozero.stages.stage import Stage

if TYPE_CHECKING:
    import numpy as np

    from stereozero.baselines.declaration import Conversion
    from stereozero.baselines.stereodiffusion import ImageModel

log = logging.getLogger(__name__)

# What says where and how something is computed, but not what comes out.
_NOT_IN_KEY = {"depth", "model", "encoders", "frames_at_once", "checkout", "environment", "timeout_minutes", "strength"}
_NETWORKS = ("unet", "vae", "text_encoder", "conditioner")


def _artifacts(plan: Plan, variant: str, clip: Clip) -> Sequence[Artifact]:
    settings = plan.method(variant)
    if not isinstance(settings, StereoDiffusion | External) or not plan.runs(variant, clip):
        return []
    parameters = settings.model_dump(mode="json", exclude=_NOT_IN_KEY)
    parameters |= {"strength": plan.strength(clip, variant), "seed": plan.seed(clip)}
    inputs = {
        "source": plan.paths.source_video(clip),
        "disparity": plan.disparity(settings.depth, clip),
    }
    if isinstance(settings, StereoDiffusion):
        inputs |= _model_files(settings)
    else:
        parameters |= _code(settings.name)
        inputs |= {"adapter": Path(settings.name)} if settings.name.endswith(".py") else {}
    return [Artifact(clip.clip_id, plan.paths.target(variant, clip.clip_id), ("target.mkv",), parameters, inputs)]


def _model_files(settings: StereoDiffusion) -> dict[str, Path]:
    """Return configurations and weights of all networks, the UNet's own and those of ``encoders``."""
    folders = [Path(settings.model)] + ([Path(settings.encoders)] if settings.encoders else [])
    files = [
        path
        for folder in folders
        for part in _NETWORKS
        if part != "unet" or folder == folders[0]
        for path in sorted((folder / part).glob("*"))
        if path.name == "config.json" or path.suffix in (".safetensors", ".bin")
    ]
    return {"/".join(path.parts[-2:]): path for path in files}


def _code(name: str) -> dict[str, Any]:
    """Return what program a target was made by; nothing for the user's own file, which is an input."""
    if name not in PROGRAMS:
        return {}
    declaration = adapter_of(name).DECLARATION
    return {"commit": declaration.source.commit, "environment": declaration.environment.digest}


def _make(plan: Plan, variant: str, clip: Clip, artifact: Artifact, folder: Path) -> Mapping[str, Any]:
    from stereozero.baselines.declaration import Conversion, check_conversion, check_target
    from stereozero.video import read_video, write_lossless

    work = folder / "work"
    work.mkdir()
    source = read_video(artifact.inputs["source"])
    conversion = Conversion(
        source=source.frames,
        fps=source.fps,
        disparity=shown_disparity(artifact.inputs["disparity"], clip),
        strength=artifact.parameters["strength"],
        seed=artifact.parameters["seed"],
        device=resolve_device(plan.config.device),
        work=work,
        log=plan.paths.program_log(variant, clip.clip_id),
    )
    conversion.log.unlink(missing_ok=True)
    declaration = declaration_of(plan.method(variant))
    check_conversion(conversion, declaration)
    target = check_target(_convert(plan, variant, conversion), conversion, declaration)
    write_lossless(folder / "target.mkv", target, source.fps)
    return {"paper": declaration.paper, "licence": declaration.licence}


def _convert(plan: Plan, variant: str, conversion: "Conversion") -> "np.ndarray":
    settings = plan.method(variant)
    if isinstance(settings, StereoDiffusion):
        return _convert_with_image_model(settings, conversion)
    module = adapter_of(settings.name)
    arguments = [program_of(module.DECLARATION, plan.paths.programs, settings)] if module.DECLARATION.source else []
    options = options_of(module, settings.settings)
    return module.convert(conversion, *arguments, *([] if options is None else [options]))


def _convert_with_image_model(settings: StereoDiffusion, conversion: "Conversion") -> "np.ndarray":
    from stereozero.baselines.stereodiffusion import Settings, convert

    named = {name: getattr(settings, name) for name in asdict(Settings()) if name != "size"}
    size = (settings.height, settings.width) if settings.height else None
    model = _image_model(settings.model, settings.encoders, conversion.device)
    return convert(conversion, model, Settings(**named, size=size))


@functools.lru_cache(maxsize=1)
def _image_model(folder: str, encoders: str | None, device: str) -> "ImageModel":
    from stereozero.baselines.stereodiffusion import load_image_model
    from stereozero.device import fix_cpu_threads

    if device == "cpu":
        fix_cpu_threads()
    return load_image_model(Path(folder), Path(encoders) if encoders else None, device)


def install_programs(plan: Plan) -> None:
    """Get the programs that the plan's external methods run, with their environments and weights.

    Raises:
        InputError, StageError: see :func:`stereozero.baselines.external.install`.
    """
    from stereozero.baselines.external import install

    for name, method in plan.config.methods.items():
        declaration = declaration_of(method)
        if declaration and declaration.source:
            log.info("method '%s': preparing %s", name, declaration.name)
            own = [Path(path) if path else None for path in (method.checkout, method.environment)]
            install(declaration, plan.paths.programs, *own)


CONVERT = Stage(
    name="convert",
    version=1,
    help="target views made by methods of others",
    variants=lambda plan: tuple(
        name for name, method in plan.config.methods.items() if isinstance(method, StereoDiffusion | External)
    ),
    artifacts=_artifacts,
    make=_make,
    needs_gpu=True,
)
