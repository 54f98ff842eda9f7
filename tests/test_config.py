import pytest

from stereozero.config import parse_config, read_yaml
from stereozero.config.scoring import Metric
from stereozero.errors import InputError

GOOD = {"run": "demo", "manifest": "clips.csv"}


def refused(**changes) -> str:
    with pytest.raises(InputError) as caught:
        parse_config({**GOOD, **changes}, "config.yaml")
    return str(caught.value)


def test_defaults_are_filled_in():
    config = parse_config(GOOD, "config.yaml")
    assert (config.strength, config.video.width, config.methods) == (4.0, 96, {})


def test_an_unknown_key_is_named_with_what_was_probably_meant():
    assert "strenght: unknown key; did you mean 'strength'?" in refused(strenght=3)
    assert "video.heigth: unknown key; did you mean 'height'?" in refused(video={"heigth": 64})


def test_an_unknown_key_of_a_variant_is_compared_with_the_keys_of_its_kind():
    message = refused(
        depths={"d": {"estimator": "world"}}, methods={"w": {"kind": "warp-fill", "depth": "d", "fil": "telea"}}
    )
    assert "methods.w.fil: unknown key; did you mean 'fill'?" in message


def test_all_problems_are_reported_at_once():
    message = refused(run="de mo", strength=200, seed=-1, metrics=["fidelty"])
    assert message.startswith("config.yaml: 4 problems")
    for key in ("run: ", "strength: ", "seed: ", "metrics.0: "):
        assert f"\n  {key}" in message


@pytest.mark.parametrize(
    ("strength", "reason"),
    [
        (0, "strength: 0 asks for no stereo at all; use the method kind 'mono-copy' for that"),
        (200, "strength: input should be less than or equal to 100, found 200"),
        (-101, "strength: input should be greater than or equal to -100, found -101"),
        (float("nan"), "strength: "),
    ],
)
def test_a_strength_out_of_range_is_refused(strength, reason):
    assert reason in refused(strength=strength)


def test_a_negative_strength_is_a_left_target_and_allowed():
    assert parse_config({**GOOD, "strength": -4}, "config.yaml").strength == -4


def test_a_method_that_names_an_unknown_depth_variant_is_refused():
    message = refused(depths={"world": {"estimator": "world"}}, methods={"w": {"kind": "warp-fill", "depth": "wrold"}})
    assert "methods.w.depth: there is no depth variant 'wrold'; did you mean 'world'?" in message


def test_an_unknown_method_kind_is_refused():
    assert "methods.x: unknown kind 'warp-fil'; did you mean 'warp-fill'?" in refused(
        methods={"x": {"kind": "warp-fil"}}
    )
    assert "methods.x: needs the key 'kind'" in refused(methods={"x": {}})


@pytest.mark.parametrize("name", ["a/b", "..", "a b", "", "a.b", "-x"])
def test_variant_names_that_can_not_be_folders_are_refused(name):
    assert "is not a name" in refused(methods={name: {"kind": "mono-copy"}})


def test_missing_and_broken_files_are_named(tmp_path):
    with pytest.raises(InputError, match=r"nothing\.yaml: can't be read \(No such file or directory\)"):
        read_yaml(tmp_path / "nothing.yaml")
    (tmp_path / "broken.yaml").write_text("run: [")
    with pytest.raises(InputError, match=r"broken\.yaml: not valid YAML"):
        read_yaml(tmp_path / "broken.yaml")
    (tmp_path / "list.yaml").write_text("- a")
    with pytest.raises(InputError, match=r"list\.yaml: must hold keys and values"):
        read_yaml(tmp_path / "list.yaml")


def test_the_achieved_disparity_can_not_be_left_out():
    assert "metrics: 'disparity' is missing; delivery and the convergence rest on" in refused(metrics=["fidelity"])


def test_yaml_can_not_run_code(tmp_path):
    (tmp_path / "evil.yaml").write_text("run: !!python/object/apply:os.system ['true']")
    with pytest.raises(InputError, match="not valid YAML"):
        read_yaml(tmp_path / "evil.yaml")


def test_the_configured_metrics_are_those_that_exist():
    from stereozero.metrics import METRICS

    assert set(Metric.__args__) == set(METRICS)


def test_folders_that_snakemake_would_take_for_patterns_are_refused():
    assert "results: 'a{b}' has braces, which Snakemake takes for wildcards" in refused(results="a{b}")
