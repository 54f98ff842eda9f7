"""What ablations say their methods differ in, and what a config may ask for."""

from pathlib import Path

import pytest
import torch

from stereozero.ablations import chosen_settings, setting_differences
from stereozero.config import parse_config, read_yaml
from stereozero.errors import InputError
from stereozero.jobs import plan_jobs
from stereozero.plan import resolve
from stereozero.stereo.border import border_columns
from stereozero.stereo.latent_warp import blank_cells
from stereozero.stereo.warp import source_positions
from stereozero.world import render_clip, sample_scene

REPOSITORY = Path(__file__).parents[1]
OURS = {"kind": "ours", "depth": "world"}


@pytest.fixture
def differences(world_config, tiny_model):
    """Return a function from methods of a small run to what they differ in."""

    def of(**methods: dict) -> dict[str, str]:
        small = {"video": {"height": 32, "width": 48, "frames": 4}, "generator": generator(tiny_model)}
        plan = resolve({**world_config, **small, "methods": methods}, "config.yaml")
        return setting_differences(plan, list(methods))

    return of


def generator(folder: Path) -> dict:
    return {"kind": "dynamicrafter", "folder": str(folder), "steps": 25, "guidance": 1.0}


def test_the_changed_key_is_told_for_all_and_nothing_else(differences):
    full = {**OURS, "preset": "paper"}
    told = differences(once={**full, "restart_iterations": 1}, off={**full, "refinement": "off"}, full=full)
    assert told == {
        "once": "restart_iterations: 1; refinement: clean",
        "off": "restart_iterations: 7; refinement: off",
        "full": "restart_iterations: 7; refinement: clean",
    }


def test_of_one_method_all_is_told_that_is_no_default(world_config):
    settings = {"steps": 10, "guidance": 1, "height": None, "width": None, "attention": "uni", "strength": 2}
    world_config["methods"]["theirs"] = {"kind": "stereodiffusion", "depth": "world", "model": "nowhere", **settings}
    plan = resolve(world_config, "config.yaml")
    told = "kind: stereodiffusion; depth: world; model: nowhere; steps: 10; guidance: 1; height: null; width: null"
    assert chosen_settings(plan, "theirs") == f"{told}; strength: 2"
    assert chosen_settings(plan, "mono-copy") == "kind: mono-copy"


def test_of_presets_only_the_name_is_told(differences):
    told = differences(
        reference={**OURS, "preset": "reference"},
        paper={**OURS, "preset": "paper", "border": 0.5},
        best=OURS,
    )
    assert told == {
        "reference": "preset: reference; border: 0.9",
        "paper": "preset: paper; border: 0.5",
        "best": "preset: best; border: 1",
    }


def test_a_strength_left_to_the_run_is_filled_in(differences):
    assert differences(small={**OURS, "strength": 2}, usual=OURS) == {"small": "strength: 2", "usual": "strength: 4"}


def test_guidance_left_to_the_generator_is_filled_in(differences):
    told = differences(guided={**OURS, "guidance": 7.5}, usual=OURS)
    assert told == {"guided": "guidance: 7.5", "usual": "guidance: 1"}


def test_methods_of_different_kinds_differ_in_their_kind_not_in_keys_that_only_one_has(differences):
    told = differences(fill={"kind": "warp-fill", "depth": "world"}, copy={"kind": "mono-copy"})
    assert told == {"fill": "kind: warp-fill", "copy": "kind: mono-copy"}


def test_equal_methods_differ_in_nothing(differences):
    assert differences(one=OURS, two=OURS) == {"one": "", "two": ""}


@pytest.mark.parametrize(
    ("methods", "message"),
    [
        (["a", "bx"], "ablations.x: there is no method 'bx'; did you mean 'b'?"),
        (["a"], "ablations.x: compares 1 methods; name at least two of the run's"),
        ([], "ablations.x: compares 0 methods; name at least two of the run's"),
        (["a", "b", "a"], "ablations.x: names a method twice; name each once"),
    ],
)
def test_a_mistake_in_an_ablation_is_named(methods, message):
    config = {
        "run": "test",
        "manifest": "clips.csv",
        "methods": {"a": {"kind": "mono-copy"}, "b": {"kind": "ground-truth"}},
        "ablations": {"x": methods},
    }
    with pytest.raises(InputError) as caught:
        parse_config(config, "config.yaml")
    assert message in str(caught.value)


class TestTheRepositorysAblations:
    @pytest.fixture
    def plan(self, tiny_model, tmp_path, monkeypatch):
        """Return the plan of benchmark/ablations.yaml with the tests' tiny model."""
        monkeypatch.chdir(REPOSITORY)
        content = read_yaml(Path("benchmark/ablations.yaml"))
        small = {"height": 32, "width": 48, "frames": 4}
        changes = {"results": str(tmp_path), "generator": generator(tiny_model), "video": small}
        return resolve({**content, **changes}, "ablations.yaml")

    def test_the_rows_of_an_ablation_are_about_the_same_clips_rendered_or_generated(self, plan):
        for ablation, names in plan.config.ablations.items():
            clips = {tuple(clip.clip_id for clip in plan.method_clips(name)) for name in names}
            assert len(clips) == 1, ablation
            assert len(clips.pop()) == (3 if ablation.startswith("generated") else 8)

    def test_every_method_is_in_an_ablation(self, plan):
        assert {name for names in plan.config.ablations.values() for name in names} == set(plan.config.methods)
        assert {job.variant for job in plan_jobs(plan) if job.stage.name == "evaluate"} == set(plan.config.methods)

    def test_every_row_of_an_ablation_is_another_setting(self, plan):
        for names in plan.config.ablations.values():
            settings = list(setting_differences(plan, names).values())
            assert "" not in settings
            assert len(set(settings)) == len(names)

    def test_each_method_changes_one_thing(self, plan):
        one_thing = {
            name: set(setting_differences(plan, names).values())
            for name, names in plan.config.ablations.items()
            if name.removeprefix("generated-") not in ("parts", "preset")
        }
        assert not [name for name, settings in one_thing.items() if any(";" in setting for setting in settings)]
        assert one_thing["restart"] == {"restart_iterations: 1", "restart_iterations: 3", "restart_iterations: 7"}
        assert one_thing["strength"] == {"strength: 2", "strength: 8", "strength: 4"}


def test_the_border_clips_have_a_border(monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    plan = resolve(read_yaml(Path("benchmark/ablations-border.yaml")), "ablations-border.yaml")
    for clip in plan.clips:
        rendered = render_clip(sample_scene(clip.scene, clip.world_seed), 8, 64, 96, plan.strength(clip))
        blank = source_positions(torch.from_numpy(rendered.disparity.copy()), plan.strength(clip)) < 0
        assert border_columns(blank_cells(blank, 4), plan.strength(clip)).sum() == 1
