import logging
import subprocess
import sys

import yaml

from stereozero.cli import main


def test_bad_input_ends_with_status_1_and_the_reason(tmp_path, caplog):
    assert main(["plan", str(tmp_path / "no.yaml")]) == 1
    assert "no.yaml: can't be read" in caplog.text


def test_plan_says_what_would_be_run_and_leaves_the_plan_of_a_run_alone(tmp_path, world_config, caplog):
    caplog.set_level(logging.INFO)
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(world_config))
    assert main(["plan", str(tmp_path / "c.yaml")]) == 0
    assert "run 'test': 2 clips, 3 methods" in caplog.text
    assert not (tmp_path / "results" / "test" / "plan.json").exists()


def test_one_stage_of_one_clip_can_be_run_by_hand(tmp_path, world_config):
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(world_config))
    plan = str(tmp_path / "plan.json")
    assert main(["plan", str(tmp_path / "c.yaml"), "--output", plan]) == 0
    assert main(["world", "--plan", plan, "--clips", "w2"]) == 0
    assert [path.name for path in (tmp_path / "results" / "test" / "world").iterdir()] == ["w2"]
    assert main(["world", "--plan", plan, "--clips", "w9"]) == 1


def test_light_stages_do_not_import_torch():
    script = "import sys, stereozero.cli; sys.exit('torch' in sys.modules or 'scipy.stats' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_summaries_do_not_import_torch():
    script = "import sys, stereozero.stages.tabulate, stereozero.stages.gallery; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
