"""What one section says about another: names that must exist, and combinations that make no sense."""

from collections.abc import Iterator, Mapping

from stereozero.config.depths import AnyDepth
from stereozero.config.methods import CONTROLS
from stereozero.config.run import Config
from stereozero.config.scoring import NETWORK_METRICS
from stereozero.depth.settings import DepthCrafterDepth, DerivedDepth, ProgressiveDepth
from stereozero.wording import suggest


def contradictions(config: Config) -> Iterator[str]:
    """Yield a line for each contradiction between sections: the key, what is wrong, what would be right."""
    yield from _unknown_references(config)
    yield from _comparison_mistakes(config)


def _unknown_references(config: Config) -> Iterator[str]:
    for name, method in config.methods.items():
        depth = getattr(method, "depth", None)
        if depth is not None and depth not in config.depths:
            yield f"methods.{name}.depth: there is no depth variant '{depth}'{suggest(depth, config.depths)}"
    yield from _derivation_problems(config.depths)
    compared = config.tables.compare_with
    if compared is not None and compared not in config.methods:
        yield f"tables.compare_with: there is no method '{compared}'{suggest(compared, config.methods)}"
    for metric, network in NETWORK_METRICS.items():
        if metric in config.metrics and getattr(config.scoring, network) is None:
            yield f"metrics: '{metric}' runs a network: name it in 'scoring.{network}'"


def _comparison_mistakes(config: Config) -> Iterator[str]:
    for ablation, methods in config.ablations.items():
        yield from _method_mistakes(f"ablations.{ablation}", methods, config)
    for table, methods in config.depth_tables:
        if methods:
            yield from _method_mistakes(f"depth_tables.{table}", methods, config)
        for name in methods:
            method = config.methods.get(name)
            if method is not None and not hasattr(method, "depth") and method.kind not in CONTROLS:
                yield f"depth_tables.{table}: method '{name}' takes no depth; name methods that do, and controls"
        if methods and not any(hasattr(config.methods.get(name), "depth") for name in methods):
            yield f"depth_tables.{table}: names no method that takes a depth; its rows are such methods, and controls"


def _method_mistakes(key: str, methods: list[str], config: Config) -> Iterator[str]:
    for name in methods:
        if name not in config.methods:
            yield f"{key}: there is no method '{name}'{suggest(name, config.methods)}"
    if len(methods) < 2:
        yield f"{key}: compares {len(methods)} methods; name at least two of the run's"
    if len(set(methods)) < len(methods):
        yield f"{key}: names a method twice; name each once"


def _derivation_problems(depths: Mapping[str, AnyDepth]) -> Iterator[str]:
    for name, settings in depths.items():
        if isinstance(settings, ProgressiveDepth):
            yield from _level_problems(name, settings, depths)
        if not isinstance(settings, DerivedDepth):
            continue
        base = depths.get(settings.depth)
        if base is None:
            yield f"depths.{name}.depth: there is no depth variant '{settings.depth}'{suggest(settings.depth, depths)}"
        elif isinstance(base, ProgressiveDepth):
            yield f"depths.{name}.depth: '{settings.depth}' is progressive; derive from one of its levels"
        elif isinstance(base, DerivedDepth):
            yield (
                f"depths.{name}.depth: '{settings.depth}' is derived itself; name what it is derived from "
                f"('{base.depth}') and give all changes here"
            )
        if settings.dissolve is not None:
            yield from _dissolver_problems(name, settings, depths)


def _level_problems(name: str, settings: ProgressiveDepth, depths: Mapping[str, AnyDepth]) -> Iterator[str]:
    for index, (_, level) in enumerate(settings.levels):
        if level not in depths:
            yield f"depths.{name}.levels.{index}: there is no depth variant '{level}'{suggest(level, depths)}"
        elif isinstance(depths[level], ProgressiveDepth):
            yield f"depths.{name}.levels.{index}: '{level}' is progressive itself; name its levels here"


def _dissolver_problems(name: str, settings: DerivedDepth, depths: Mapping[str, AnyDepth]) -> Iterator[str]:
    crafters = [other for other, variant in depths.items() if isinstance(variant, DepthCrafterDepth)]
    if settings.dissolver is None and settings.depth in depths and settings.depth not in crafters:
        yield (
            f"depths.{name}: 'dissolve' needs 'dissolver', the name of a depthcrafter variant, because "
            f"'{settings.depth}' is none itself"
        )
    elif settings.dissolver is not None and settings.dissolver not in crafters:
        yield (
            f"depths.{name}.dissolver: there is no depthcrafter variant '{settings.dissolver}'"
            f"{suggest(settings.dissolver, crafters)}"
        )
