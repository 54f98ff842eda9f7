"""Depth variants in the configuration: what is refused, with which words."""

from dataclasses import fields
from pathlib import Path

import pytest
import yaml

from stereozero.config import parse_config
from stereozero.depth.depthcrafter import DepthCrafterSettings
from stereozero.depth.settings import DepthCrafterDepth
from stereozero.errors import InputError

CRAFTER = {"estimator": "depthcrafter"}
WORLD = {"estimator": "world"}


def parsed(**depths):
    return parse_config({"run": "r", "manifest": "m.csv", "depths": depths}, "config.yaml")


def refused(**depths) -> str:
    with pytest.raises(InputError) as caught:
        parsed(**depths)
    return str(caught.value)


def derived(depth: str = "crafter", **changes) -> dict:
    return {"estimator": "derived", "depth": depth, **changes}


def test_the_defaults_are_the_librarys():
    defaults = DepthCrafterDepth(estimator="depthcrafter").model_dump()
    library = {field.name: field.default for field in fields(DepthCrafterSettings)}
    shared = library.keys() & defaults.keys()
    assert shared == {"steps", "guidance", "noise_augmentation", "window", "overlap", "frames_at_once"}
    assert all(defaults[name] == library[name] for name in shared)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"estimator": "depthcraftr"}, "depths.d: unknown estimator 'depthcraftr'; did you mean 'depthcrafter'?"),
        ({"estimator": "depth-anythin"}, "depths.d: unknown estimator 'depth-anythin'; did you mean 'depth-anything'?"),
        ({"estimator": "depth-anything", "variant": "v2-smal"}, "depths.d.variant: input should be 'v1-large', "),
        ({"estimator": "depth-anything", "variant": "v2-smal"}, "found 'v2-smal'; did you mean 'v2-small'?"),
        ({"estimator": "depth-anything"}, "depths.d: needs either 'variant' (v1-large, v2-small, v2-base, v2-large)"),
        ({"estimator": "video-depth-anything", "variant": "vitb"}, "found 'vitb'; did you mean 'vits'?"),
        ({"estimator": "video-depth-anything", "variant": "vits", "short_side": 500}, "depths.d.short_side: "),
        (CRAFTER | {"step": 5}, "depths.d.step: unknown key; did you mean 'steps'?"),
        (CRAFTER | {"window": 10, "overlap": 10}, "depths.d: 'overlap' is 10; it must be smaller than 'window'"),
        (CRAFTER | {"folder": "f", "unet": "u"}, "depths.d: 'folder' holds all networks; name either it or copies"),
        (CRAFTER | {"percentiles": [90, 10]}, "depths.d.percentiles: are 90 and 10; the first must be the smaller one"),
        (CRAFTER | {"percentiles": [0, 101]}, "depths.d.percentiles.1: input should be less than or equal to 100"),
    ],
)
def test_estimators(settings, message):
    assert message in refused(d=settings)


@pytest.mark.parametrize("step", [0, 51, -1, 2.5, True, "none"])
def test_a_dissolve_step_that_is_none(step):
    message = refused(crafter=CRAFTER, soft=derived(dissolve=step))
    assert f"depths.soft.dissolve: is {step!r}; a whole number from 1 (hardly any) to 50 (most) is right" in message
    assert "leave the key out for depth that is not dissolved" in message


@pytest.mark.parametrize("step", [1, 50, "row", "adaptive"])
def test_dissolve_steps(step):
    assert parsed(crafter=CRAFTER, soft=derived(dissolve=step)).depths["soft"].dissolve == step


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (derived(), "depths.soft: changes nothing: give at least one of 'propagate', 'dissolve' and 'downsample'"),
        (derived(downsample=3), "depths.soft.downsample: input should be 1, 2 or 4, found 3"),
        (derived(downsample=2, dissolver="crafter"), "depths.soft: 'dissolver' is given without 'dissolve'"),
        (derived(dissolve=10, agreement=0.8), "depths.soft: 'agreement' is given without 'dissolve: adaptive'"),
        (derived(dissolve="adaptive", agreement=0), "depths.soft.agreement: input should be greater than 0, found 0"),
        (derived("craftr", downsample=2), "depths.soft.depth: there is no depth variant 'craftr'; did you mean 'craf"),
        (derived("half", downsample=2), "depths.soft.depth: 'half' is derived itself; name what it is derived from"),
        (derived("world", dissolve=9), "depths.soft: 'dissolve' needs 'dissolver', the name of a depthcrafter variant"),
        (derived("world", dissolve=9, dissolver="world"), "depths.soft.dissolver: there is no depthcrafter variant 'w"),
        (derived("world", dissolve=9, dissolver="carfter"), "variant 'carfter'; did you mean 'crafter'?"),
        (derived("world", propagate="papr"), "found 'papr'; did you mean 'paper'?"),
        (derived("world", propagate="paper", flow="sea-raft"), "depths.soft.flow: input should be 'raft_large', "),
    ],
)
def test_derived_variants(settings, message):
    assert message in refused(crafter=CRAFTER, world=WORLD, half=derived("world", downsample=2), soft=settings)


def progressive(*levels: list) -> dict:
    return {"estimator": "progressive", "levels": list(levels)}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (progressive([0, "half"]), "depths.fine.levels: tuple should have at least 2 items"),
        (progressive([1, "half"], [20, "world"]), "depths.fine.levels: begin at the steps 1, 20; 0 first and then ris"),
        (progressive([0, "half"], [20, "world"], [20, "half"]), "depths.fine.levels: begin at the steps 0, 20, 20; 0 "),
        (progressive([0, "half"], [50, "world"]), "depths.fine.levels.1.0: input should be less than 50, found 50"),
        (progressive([0, "hlf"], [20, "world"]), "depths.fine.levels.0: there is no depth variant 'hlf'; did you mea"),
        (progressive([0, "half"], [20, "fine"]), "depths.fine.levels.1: 'fine' is progressive itself; name its levels"),
        (progressive([0, "half"]) | {"depth": "world"}, "depths.fine.depth: unknown key"),
    ],
)
def test_progressive_variants(settings, message):
    assert message in refused(world=WORLD, half=derived("world", downsample=2), fine=settings)


def test_a_progressive_variant_can_not_be_derived_from():
    levels = progressive([0, "half"], [20, "world"])
    message = refused(world=WORLD, half=derived("world", downsample=2), fine=levels, soft=derived("fine", downsample=4))
    assert "depths.soft.depth: 'fine' is progressive; derive from one of its levels" in message


def test_a_dissolver_stands_in_where_the_depth_is_none():
    depths = parsed(crafter=CRAFTER, world=WORLD, soft=derived("world", dissolve=9, dissolver="crafter")).depths
    assert depths["soft"].crafter == "crafter"


def test_the_guides_example_is_valid():
    guide = (Path(__file__).parents[2] / "docs" / "depth.md").read_text()
    example = yaml.safe_load(guide.split("```yaml\n")[1].split("```")[0])
    assert len(parsed(**example["depths"]).depths) == 10
