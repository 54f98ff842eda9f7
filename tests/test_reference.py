from pathlib import Path

from stereozero.reference import reference

REPOSITORY = Path(__file__).parents[1]


def test_the_written_reference_is_what_the_types_say():
    assert (REPOSITORY / "docs" / "reference.md").read_text(encoding="utf-8") == reference(), (
        "run 'stereozero reference > docs/reference.md'"
    )


def test_it_names_every_variant_and_bound():
    text = reference()
    assert "#### `kind: warp-fill`" in text
    assert "| `strength` | float, ≥ -100, ≤ 100 | `4` |" in text
    assert "| `psnr` | fidelity | dB | higher |" in text
