"""How far we are from the reference numbers: ``python -m pytest --parity=FILE.csv`` keeps each test's largest error."""

import csv
import os
from pathlib import Path

import pytest
import torch
from torch import Tensor

_LARGEST: dict[str, float] = {}  # test -> largest relative error


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option."""
    parser.addoption("--parity", type=Path, metavar="FILE.csv", help="write the errors against reference numbers")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write a row for each test: its largest error, over the standard deviation of the expected values."""
    path = session.config.getoption("--parity")
    if path is None:
        return
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["test", "largest_error_over_std"])
        writer.writerows([test, f"{error:.2g}"] for test, error in sorted(_LARGEST.items()))


def largest_error(actual: Tensor, expected: Tensor) -> float:
    """Return the largest absolute difference from reference numbers, and note it."""
    assert actual.shape == expected.shape
    largest = float((actual.detach().double() - expected.double()).abs().max())
    test = os.environ["PYTEST_CURRENT_TEST"].rpartition(" ")[0]
    _LARGEST[test] = max(largest / _scale(expected), _LARGEST.get(test, 0.0))
    return largest


def relative_error(actual: Tensor, expected: Tensor) -> float:
    """Return the same over the standard deviation of the expected values."""
    return largest_error(actual, expected) / _scale(expected)


def assert_equals_reference(actual: Tensor, expected: Tensor, atol: float) -> None:
    """Assert that no value differs by more than ``atol`` from a reference number, and note how far they are."""
    largest_error(actual, expected)
    torch.testing.assert_close(actual, expected, rtol=0, atol=atol)


def _scale(expected: Tensor) -> float:
    # The standard deviation; of a single value, or of equal ones, the largest magnitude.
    deviation = float(expected.double().std(correction=0))
    return deviation or float(expected.abs().max()) or 1.0
