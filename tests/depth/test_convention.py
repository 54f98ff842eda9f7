import math

import pytest
import torch

from stereozero.depth.convention import downsample, inverse_depth, metric_to_disparity, normalise, to_disparity
from stereozero.depth.estimator import DepthEstimate, DepthKind
from stereozero.errors import InputError

WHOLE = (0.0, 100.0)


def test_metric_depth_becomes_disparity_in_pixels():
    depth = torch.tensor([[[2.0, 4.0]], [[8.0, math.inf]]])
    disparity = metric_to_disparity(depth, torch.tensor([100.0, 200.0]), baseline=0.1)
    torch.testing.assert_close(disparity, torch.tensor([[[5.0, 2.5]], [[2.5, 0.0]]]))


def test_nearest_is_one_whatever_the_kind():
    metric = DepthEstimate(torch.tensor([[[1.0, 2.0, 4.0]]]), DepthKind.METRIC)
    inverse = DepthEstimate(torch.tensor([[[9.0, 5.0, 3.0]]]), DepthKind.INVERSE)
    expected = torch.tensor([[[1.0, 1 / 3, 0.0]]])
    for estimate in (metric, inverse):
        torch.testing.assert_close(to_disparity(estimate, WHOLE), expected)


def test_a_frame_of_longer_focal_length_has_larger_disparities():
    values = torch.tensor([[[1.0, 2.0]], [[1.0, 2.0]]])
    zoomed = inverse_depth(DepthEstimate(values, DepthKind.METRIC, torch.tensor([50.0, 100.0])))
    torch.testing.assert_close(zoomed[1], 2 * zoomed[0])


@pytest.mark.parametrize(
    ("depth", "message"),
    [
        ([1.0, 0.0], "1 of 2 values are NaN, 0 or negative, the first in frame 0, row 0, column 1"),
        ([math.nan, -1.0], "2 of 2 values are NaN, 0 or negative"),
    ],
)
def test_depth_that_is_no_distance(depth, message):
    with pytest.raises(InputError, match=message):
        metric_to_disparity(torch.tensor([[depth]]), 1.0)


@pytest.mark.parametrize("focal_length", [0.0, -3.0, math.nan])
def test_focal_length_that_is_none(focal_length):
    with pytest.raises(InputError, match=r"focal length: is .* px; numbers above 0 are right"):
        metric_to_disparity(torch.ones(1, 2, 2), focal_length)


def test_normalising_is_over_the_clip_not_the_frame():
    values = torch.tensor([[[0.0, 1.0]], [[2.0, 4.0]]])
    torch.testing.assert_close(normalise(values, WHOLE), values / 4)


def test_normalising_undoes_scale_and_shift():
    values = torch.rand(3, 20, 30)
    torch.testing.assert_close(normalise(7 * values - 2), normalise(values), rtol=0, atol=1e-5)


def test_an_outlier_does_not_flatten_the_rest():
    values = torch.linspace(0, 1, 10_000).view(1, 100, 100)
    with_outlier = values.clone()
    with_outlier[0, 0, 0] = -1000
    torch.testing.assert_close(normalise(with_outlier)[0, 1:], normalise(values)[0, 1:], rtol=0, atol=1e-3)
    assert normalise(with_outlier).min() == 0


def test_half_precision_is_normalised_in_float32():
    assert normalise(torch.rand(1, 8, 8).half()).dtype == torch.float32


@pytest.mark.parametrize("level", [0.0, 0.3, -5.0, 1e6])
def test_a_clip_without_depth(level):
    with pytest.raises(InputError, match=r"everywhere in the clip .*; is the video constant or dark\?"):
        normalise(torch.full((2, 4, 4), level))


def test_a_failed_estimate():
    values = torch.rand(2, 4, 4)
    values[1, 2, 3] = math.nan
    with pytest.raises(InputError, match="1 of 32 values are NaN or infinite, the first in frame 1, row 2, column 3"):
        normalise(values)


@pytest.mark.parametrize("percentiles", [(50, 50), (99, 1), (-1, 99), (0, 101)])
def test_percentiles_out_of_order(percentiles):
    with pytest.raises(InputError, match="0 <= low < high <= 100 is right"):
        normalise(torch.rand(1, 4, 4), percentiles)


def test_downsampling_by_one_changes_nothing():
    disparity = torch.rand(2, 6, 8)
    assert torch.equal(downsample(disparity, 1), disparity)


@pytest.mark.parametrize("factor", [2, 4])
def test_downsampling_keeps_size_and_mean_and_loses_detail(factor):
    disparity = torch.rand(2, 16, 24, generator=torch.Generator().manual_seed(0))
    blurred = downsample(disparity, factor)
    assert blurred.shape == disparity.shape
    assert float(blurred.mean()) == pytest.approx(float(disparity.mean()), abs=0.02)
    assert blurred.std() < 0.7 * disparity.std()


def test_downsampling_places_averages_at_cell_centres():
    disparity = torch.tensor([[[0.0, 0.0, 1.0, 1.0]] * 2])
    # Centres of the two cells lie at 0.5 and 2.5; half-pixel bilinear.
    torch.testing.assert_close(downsample(disparity, 2)[0, 0], torch.tensor([0.0, 0.25, 0.75, 1.0]))


def test_downsampling_a_size_that_is_no_multiple():
    assert downsample(torch.rand(1, 9, 7), 4).shape == (1, 9, 7)


@pytest.mark.parametrize("factor", [0, -2, 0.5, 2.5, 9])
def test_downsampling_by_an_impossible_factor(factor):
    with pytest.raises(InputError, match=r"downsampling: is .*; a whole number from 1 to 8 is right for 10x8 pixels"):
        downsample(torch.rand(1, 8, 10), factor)
