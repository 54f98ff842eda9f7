"""FeatUp's upsampler against the reference's numbers."""

import pytest
import torch.nn.functional as nnf
from met3r_goldens import fill, named_tensor, read_case, squashed
from parity import largest_error

from stereozero.metrics.met3r.featup import JbuStack
from stereozero.metrics.met3r.upsampling import FeatUp


@pytest.fixture(scope="module")
def golden():
    facts, expected = read_case("featup_jbu")
    return facts, expected, fill(JbuStack(12), facts["params"])


@pytest.mark.parametrize("case", ["s4x5", "s5x7_patch14"])
def test_equals_the_reference(golden, case):
    facts, expected, stack = golden
    source = named_tensor(*facts["cases"][case]["source"])
    guidance = (squashed(*facts["cases"][case]["guidance"]) + 1) / 2
    out = stack(source, guidance)
    assert largest_error(out[:, ::2], expected[f"{case}.out"]) < 1e-5
    level = stack.up1(source, guidance)
    assert largest_error(level, expected[f"{case}.after_up1"]) < 1e-5


def test_what_does_not_fit_the_image_is_resized_to_it(golden):
    facts, expected, stack = golden
    source = named_tensor(*facts["cases"]["s5x7_patch14"]["source"])
    guidance = (squashed(*facts["cases"]["s5x7_patch14"]["guidance"]) + 1) / 2
    upsampled = FeatUp(stack)(source, guidance)
    assert largest_error(upsampled[:, ::2], expected["s5x7_patch14.out_resized_to_guidance"]) < 1e-5


def test_kernels_equal_the_reference(golden):
    facts, expected, stack = golden
    guidance = (squashed(*facts["cases"]["s4x5"]["guidance"]) + 1) / 2
    small = nnf.adaptive_avg_pool2d(guidance, (8, 10))
    assert largest_error(small, expected["s4x5.up1.small_guidance"]) < 1e-6
    assert largest_error(stack.up1.range_kernel(small)[:1], expected["s4x5.up1.range_kernel"]) < 1e-6
    assert largest_error(stack.up1.spatial_kernel(), expected["s4x5.up1.spatial_kernel"]) < 1e-6
    assert largest_error(stack.up1.kernel(small)[:1], expected["s4x5.up1.combined_kernel_after_fixup"]) < 1e-6
