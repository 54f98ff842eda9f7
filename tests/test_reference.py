from pathlib import Path

from stereozero.published_models import REGISTRY
from stereozero.reference import reference

REPOSITORY = Path(__file__).parents[1]


def test_the_written_reference_is_what_the_types_say():
    assert (REPOSITORY / "docs" / "reference.md").read_text(encoding="utf-8") == reference(), (
        "run 'stereozero reference > docs/reference.md'"
    )


def test_it_names_every_variant_and_bound():
    text = reference()
    assert "#### `kind: warp-fill`" in text
    assert "| `propainter` | Zhou, Li, Chan, Loy: ProPainter" in text
    assert "https://github.com/sczhou/ProPainter.git at `9243b7abf14098675da057114c63d9e502d4741d`" in text
    assert "| `strength` | float, ≥ -100, ≤ 100 | `4` |" in text
    assert "| `psnr` | fidelity | dB | higher |" in text


def test_it_says_which_models_are_not_pinned_or_have_no_known_checksum():
    lines = {
        line.split("`")[1]: line for line in reference().partition("## Published models")[2].splitlines() if "`" in line
    }
    assert lines.keys() >= REGISTRY.keys()
    for name, model in REGISTRY.items():
        assert ("**not pinned**" in lines[name]) == (model.revision is None and not model.address)
        assert ("**unknown**" in lines[name]) == (model.sha256 is None)
