"""Writes manifests for tests."""

import csv
from pathlib import Path


def write_rows(path: Path, rows: tuple[dict, ...]) -> Path:
    """Write rows (column to cell) as CSV with all their columns; return the path."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, columns)
        writer.writeheader()
        writer.writerows(rows)
    return path
