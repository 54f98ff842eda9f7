import pytest
import torch

from stereozero.diffusion.backbone import Conditioning, GuidancePair
from stereozero.diffusion.guidance import guide, guide_image_and_text, guided_prediction, rescale_guidance

CONDITIONAL, IMAGE_ONLY, UNCONDITIONAL = torch.randn(3, 2, 4, 3, 5, 5, generator=torch.Generator().manual_seed(0))


def test_scale_one_is_the_conditional_prediction():
    torch.testing.assert_close(guide(CONDITIONAL, UNCONDITIONAL, 1.0), CONDITIONAL)
    torch.testing.assert_close(guide(CONDITIONAL, UNCONDITIONAL, 0.0), UNCONDITIONAL)


def test_equal_scales_of_image_and_text_are_plain_guidance():
    both = guide_image_and_text(CONDITIONAL, IMAGE_ONLY, UNCONDITIONAL, text_scale=4.0, image_scale=4.0)
    torch.testing.assert_close(both, guide(CONDITIONAL, UNCONDITIONAL, 4.0))


def test_full_rescale_restores_each_clips_spread():
    guided = guide(CONDITIONAL, UNCONDITIONAL, 7.5)
    rescaled = rescale_guidance(guided, CONDITIONAL, 1.0)
    torch.testing.assert_close(rescaled.std((1, 2, 3, 4)), CONDITIONAL.std((1, 2, 3, 4)))
    assert torch.equal(rescale_guidance(guided, CONDITIONAL, 0.0), guided)


class CountingBackbone:
    """Predicts latents plus its condition, and counts the clips that it evaluated."""

    def __init__(self):
        self.calls = []

    def predict(self, latents, timestep, conditioning):
        self.calls.append(len(latents))
        return latents + conditioning.tensors["offset"][:, None, None, None, None]


@pytest.mark.parametrize(("one_batch", "calls"), [(True, [4]), (False, [2, 2])])
def test_guided_prediction_in_one_batch_or_two_calls(one_batch, calls):
    backbone = CountingBackbone()
    pair = GuidancePair(Conditioning({"offset": torch.tensor([1.0, 2.0])}), Conditioning({"offset": torch.zeros(2)}))
    latents = torch.zeros(2, 4, 3, 5, 5)
    guided = guided_prediction(backbone, latents, 7, pair, 3.0, one_batch=one_batch)
    assert guided[:, 0, 0, 0, 0].tolist() == [3.0, 6.0]
    assert backbone.calls == calls


@pytest.mark.parametrize(("one_batch", "calls"), [(True, [3]), (False, [1, 1, 1])])
def test_the_image_has_a_scale_of_its_own(one_batch, calls):
    backbone = CountingBackbone()
    pair = GuidancePair(*(Conditioning({"offset": torch.tensor([value])}) for value in (5.0, 0.0, 2.0)))
    latents = torch.zeros(1, 4, 3, 5, 5)
    guided = guided_prediction(backbone, latents, 7, pair, 3.0, image_scale=10.0, one_batch=one_batch)
    assert guided.unique().item() == 10 * 2 + 3 * (5 - 2)
    assert backbone.calls == calls


def test_pairs_are_joined_branch_by_branch():
    one, other = (
        GuidancePair(*(Conditioning({"offset": torch.tensor([10.0 * clip + branch])}) for branch in range(3)))
        for clip in (1, 2)
    )
    joined = GuidancePair.join([one, other])
    found = [
        branch.tensors["offset"].tolist() for branch in (joined.conditional, joined.unconditional, joined.image_only)
    ]
    assert found == [[10, 20], [11, 21], [12, 22]]
    assert GuidancePair.join([GuidancePair(one.conditional, one.unconditional)]).image_only is None


def test_scale_one_saves_the_unconditional_evaluation():
    backbone = CountingBackbone()
    pair = GuidancePair(Conditioning({"offset": torch.ones(1)}), Conditioning({"offset": torch.zeros(1)}))
    guided_prediction(backbone, torch.zeros(1, 4, 3, 5, 5), 7, pair, 1.0)
    assert backbone.calls == [1]
