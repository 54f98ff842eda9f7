import importlib.util
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from stereozero.errors import InputError
from stereozero.stereo.warp import check_disparity, forward_warp, gather_columns, shift_pixels, source_columns
from stereozero.stereo.warp_reference import loop_warp, unique_warp

GOLDEN = Path(__file__).parents[1] / "golden"
CASES = np.load(GOLDEN / "stereo" / "warp.npz")
KEYS = [name.removeprefix("blank/") for name in CASES.files if name.startswith("blank/")]


def random_scene(*shape: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Return an image (N, 3, H, W) and a disparity (N, H, W) whose every pixel is independent."""
    generator = torch.Generator().manual_seed(seed)
    n, height, width = shape
    image = torch.randn(n, 3, height, width, generator=generator)
    return image, torch.rand(n, height, width, generator=generator)


@pytest.fixture(scope="module")
def latents() -> torch.Tensor:
    """Return the golden cases' latents with frames as N: (3, 4, 24, 40)."""
    spec = importlib.util.spec_from_file_location("named_tensors", GOLDEN / "named_tensors.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return torch.from_numpy(module.named_tensor("input:warp/latents", (4, 3, 24, 40))).transpose(0, 1)


def golden_views(key: str) -> tuple[torch.Tensor, list[tuple[str, float]]]:
    """Return a golden case's disparity (3, 24, 40) and its views with the strength that each is warped by."""
    name, scale, both, exponent = key.split("/")
    levels = CASES[f"disparity_u8/{name}"].astype(np.float32)
    disparity = torch.from_numpy(levels / np.float32(255)) ** (math.e if exponent == "exp_e" else 1)
    strength = float(scale.removeprefix("scale"))
    strengths = (-strength / 2, strength / 2) if both == "both1" else (0.0, strength)
    return disparity, list(zip(("left", "right"), strengths, strict=True))


def test_there_are_48_golden_cases():
    assert len(KEYS) == 48


@pytest.mark.parametrize("key", KEYS)
def test_golden(key, latents):
    disparity, views = golden_views(key)
    blanks = []
    for view, strength in views:
        expected = torch.from_numpy(CASES[f"src_col/{key}/{view}"]).long()
        columns = source_columns(disparity, strength)
        assert torch.equal(columns, expected)
        warped = forward_warp(latents, disparity, strength, "whole")
        assert torch.equal(warped.image, gather_columns(latents, expected))
        assert torch.equal(warped.image, unique_warp(latents, disparity, strength))
        blanks.append(warped.blank.numpy())
    stored = np.unpackbits(CASES[f"blank/{key}"])[: 2 * 3 * 24 * 40].reshape(2, 3, 24, 40)
    assert np.array_equal(np.stack(blanks), stored.astype(bool))
    if f"out/{key}/right_c0" in CASES.files:
        assert np.array_equal(warped.image[:, 0].numpy(), CASES[f"out/{key}/right_c0"])


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 1, 2), (2, 3, 7), (1, 5, 64), (3, 4, 33)])
@pytest.mark.parametrize("strength", [-100, -37.5, -4, 0, 0.5, 4, 8.1, 50, 100])
def test_equal_to_the_loop(shape, strength):
    image, disparity = random_scene(*shape, seed=int(10 * abs(strength)))
    expected = loop_warp(image, disparity, strength)
    warped = forward_warp(image, disparity, strength, "whole")
    assert torch.equal(warped.image, expected)
    assert torch.equal(warped.blank, (expected == 0).all(1))
    assert torch.equal(unique_warp(image, disparity, strength), expected)


@pytest.mark.parametrize("mode", ["whole", "subpixel"])
@pytest.mark.parametrize("strength", [25, -25])
def test_constant_disparity(mode, strength):
    image, disparity = random_scene(2, 3, 16)
    still = forward_warp(image, torch.zeros_like(disparity), strength, mode)
    assert torch.equal(still.image, image)
    assert not still.blank.any()
    moved = forward_warp(image, torch.ones_like(disparity), strength, mode)
    if strength > 0:
        assert torch.equal(moved.image[..., :12], image[..., 4:])
        assert moved.blank[..., 12:].all()
    else:
        assert torch.equal(moved.image[..., 4:], image[..., :12])
        assert moved.blank[..., :4].all()
    assert moved.blank.sum() == 2 * 3 * 4
    assert (moved.image.movedim(1, -1)[moved.blank] == 0).all()


@pytest.mark.parametrize("mode", ["whole", "subpixel"])
def test_strength_0_is_the_identity(mode):
    image, disparity = random_scene(2, 5, 31)
    warped = forward_warp(image, disparity, 0, mode)
    assert torch.equal(warped.image, image)
    assert not warped.blank.any()


@pytest.mark.parametrize("mode", ["whole", "subpixel"])
def test_the_left_view_is_the_mirrored_right_view(mode):
    image, disparity = random_scene(2, 5, 31)
    right = forward_warp(image.flip(-1), disparity.flip(-1), 20, mode)
    left = forward_warp(image, disparity, -20, mode)
    torch.testing.assert_close(left.image, right.image.flip(-1), rtol=0, atol=0 if mode == "whole" else 1e-4)
    assert torch.equal(left.blank, right.blank.flip(-1))


def test_blank_does_not_depend_on_the_values():
    _, disparity = random_scene(1, 4, 32)
    zeros = forward_warp(torch.zeros(1, 3, 4, 32), disparity, 20, "whole")
    ones = forward_warp(torch.ones(1, 3, 4, 32), disparity, 20, "whole")
    assert torch.equal(zeros.blank, ones.blank)
    assert 0 < zeros.blank.sum() < zeros.blank.numel()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16, torch.uint8, torch.int64, torch.bool])
def test_whole_cells_of_any_dtype(dtype):
    image, disparity = random_scene(2, 3, 40)
    image = (10 * image.abs()).to(dtype)
    warped = forward_warp(image, disparity, 10, "whole")
    assert warped.image.dtype == dtype
    assert torch.equal(warped.image, loop_warp(image, disparity, 10))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("mode", ["whole", "subpixel"])
def test_the_map_does_not_depend_on_the_images_dtype(mode, dtype):
    image, disparity = random_scene(2, 3, 40)
    exact = forward_warp(image.to(dtype).double(), disparity, 10, mode)
    warped = forward_warp(image.to(dtype), disparity, 10, mode)
    assert warped.image.dtype == dtype
    assert torch.equal(warped.blank, exact.blank)
    torch.testing.assert_close(warped.image.double(), exact.image, rtol=torch.finfo(dtype).eps, atol=1e-6)


@pytest.mark.parametrize("mode", ["whole", "subpixel"])
def test_float64_disparity_gives_the_float32_result(mode):
    image, disparity = random_scene(2, 3, 40)
    warped = forward_warp(image, disparity.double(), 10, mode)
    assert torch.equal(warped.image, forward_warp(image, disparity, 10, mode).image)


@pytest.mark.parametrize("mode", ["whole", "subpixel"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -3.0, 7.0, 1e30])
def test_unchecked_values_touch_no_foreign_memory(mode, value):
    image, disparity = random_scene(1, 3, 16)
    disparity[0, 1, 5] = value
    for strength in (50, -50):
        warped = forward_warp(image, disparity, strength, mode)
        clean = forward_warp(image, disparity.nan_to_num(0).clamp(0, 1), strength, mode)
        assert torch.equal(warped.image[:, :, (0, 2)], clean.image[:, :, (0, 2)])


def test_no_argument_is_changed():
    image, disparity = random_scene(1, 3, 16)
    image_before, disparity_before = image.clone(), disparity.clone()
    for mode in ("whole", "subpixel"):
        forward_warp(image, disparity, 10, mode)
    assert torch.equal(image, image_before)
    assert torch.equal(disparity, disparity_before)


def test_shift_pixels():
    assert shift_pixels(4, 512) == pytest.approx(20.48)
    assert shift_pixels(-4, 64) == pytest.approx(-2.56)


@pytest.mark.parametrize("strength", [200, -100.1, math.nan, math.inf])
def test_refused_strengths(strength):
    image, disparity = random_scene(1, 2, 8)
    with pytest.raises(InputError, match=r"strength is .*; it must lie in -100 \.\.\. 100 \(percent of the width\)"):
        forward_warp(image, disparity, strength, "whole")


@pytest.mark.parametrize(
    ("image", "disparity", "message"),
    [
        (torch.zeros(3, 4, 8), torch.zeros(1, 4, 8), r"image has shape \(3, 4, 8\); it must be \(N, C, H, W\)"),
        (torch.zeros(1, 3, 4, 8), torch.zeros(4, 8), r"disparity \(4, 8\); the disparity must be \(1, 4, 8\)"),
        (torch.zeros(2, 3, 4, 8), torch.zeros(1, 4, 8), r"the disparity must be \(2, 4, 8\)"),
        (torch.zeros(1, 3, 4, 0), torch.zeros(1, 4, 0), r"none of them 0"),
        (torch.zeros(1, 3, 4, 8), torch.zeros(1, 4, 8, dtype=torch.uint8), r"disparity is torch.uint8"),
    ],
)
@pytest.mark.parametrize("mode", ["whole", "subpixel"])
def test_refused_shapes_and_dtypes(image, disparity, message, mode):
    with pytest.raises(InputError, match=message):
        forward_warp(image, disparity, 4, mode)


def test_refused_map_shape():
    with pytest.raises(InputError, match=r"map \(1, 4, 9\); the map must be \(1, 4, 8\)"):
        gather_columns(torch.zeros(1, 3, 4, 8), torch.zeros(1, 4, 9, dtype=torch.int64))


def test_refused_mode():
    image, disparity = random_scene(1, 2, 8)
    with pytest.raises(InputError, match="warp mode is 'half'; it must be one of whole, subpixel"):
        forward_warp(image, disparity, 4, "half")


def test_a_subpixel_warp_refuses_integers():
    _, disparity = random_scene(1, 2, 8)
    with pytest.raises(InputError, match=r"needs floating point; the image is torch.uint8"):
        forward_warp(torch.zeros(1, 3, 2, 8, dtype=torch.uint8), disparity, 4, "subpixel")


def test_check_disparity():
    _, disparity = random_scene(1, 2, 8)
    check_disparity(disparity)
    check_disparity(torch.tensor([0.0, 1.0]))
    for value, message in [
        (math.nan, "depth has 1 of 16 values that are NaN or infinite"),
        (-math.inf, "depth has 1 of 16 values that are NaN or infinite"),
        (-0.25, r"depth reaches from -0.25 to .*; it must lie in 0 \.\.\. 1 \(1 is nearest\)"),
        (1.5, r"depth reaches from .* to 1.5; it must lie in 0 \.\.\. 1"),
    ]:
        disparity[0, 0, 3] = value
        with pytest.raises(InputError, match=message):
            check_disparity(disparity, "depth")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("mode", ["whole", "subpixel"])
def test_a_gpu_gives_the_same_without_waiting(mode):
    image, disparity = random_scene(4, 65, 257)
    expected = forward_warp(image, disparity, 12, mode)
    on_gpu = image.cuda(), disparity.cuda()
    torch.cuda.set_sync_debug_mode("error")
    try:
        results = [forward_warp(*on_gpu, 12, mode) for _ in range(3)]
    finally:
        torch.cuda.set_sync_debug_mode("default")
    for result in results:
        assert torch.equal(result.image, results[0].image)
        assert torch.equal(result.blank.cpu(), expected.blank)
        torch.testing.assert_close(result.image.cpu(), expected.image, rtol=0, atol=0 if mode == "whole" else 1e-4)
