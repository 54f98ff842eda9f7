import torch

from stereozero.diffusion.noise import batched_noise, seeded_noise


def test_a_name_stands_for_one_draw_whatever_came_before():
    first = seeded_noise((4, 3), 7, "step", 2)
    torch.manual_seed(99)
    seeded_noise((100,), 7, "step", 1)
    assert torch.equal(first, seeded_noise((4, 3), 7, "step", 2))


def test_the_global_generator_is_left_alone():
    torch.manual_seed(0)
    expected = torch.randn(3)
    torch.manual_seed(0)
    seeded_noise((5,), 1)
    assert torch.equal(torch.randn(3), expected)


def test_other_names_give_other_noise():
    names = [(1, "step", 2), (2, "step", 1), (12, "step"), (1, 2, "step"), (1, "2", "step"), (1,), (-1,), (2**63,)]
    draws = [tuple(seeded_noise((3,), *name).tolist()) for name in names]
    assert len(set(draws)) == len(names)


def test_a_clips_noise_does_not_depend_on_its_batch():
    batch = batched_noise((4, 2, 3), [5, 6, 7], "initial")
    assert torch.equal(batch[1], seeded_noise((4, 2, 3), 6, "initial"))


def test_it_is_standard_normal():
    noise = seeded_noise((100_000,), 3)
    assert abs(noise.mean()) < 0.01
    assert abs(noise.std() - 1) < 0.01


def test_half_precision_is_the_rounded_float32_draw():
    assert torch.equal(seeded_noise((9,), 3, dtype=torch.float16), seeded_noise((9,), 3).half())
