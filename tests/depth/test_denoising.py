import torch

from stereozero.depth.denoising import euler_step, guide, predicted_clean, velocity_target


def test_predicted_clean_undoes_the_velocity():
    clean, noise = torch.randn(2, 3), torch.randn(2, 3)
    for sigma in (torch.tensor(0.01), torch.tensor(1.0), torch.tensor(80.0)):
        found = predicted_clean(clean + sigma * noise, velocity_target(clean, noise, sigma), sigma)
        torch.testing.assert_close(found, clean, rtol=1e-4, atol=1e-4)


def test_velocity_has_unit_variance_at_every_level():
    clean, noise = torch.randn(100_000), torch.randn(100_000)
    for sigma in (0.002, 0.7, 5.0, 700.0):
        assert abs(float(velocity_target(clean, noise, torch.tensor(sigma)).std()) - 1) < 0.02


def test_a_step_to_level_zero_is_the_prediction():
    latents, clean = torch.randn(4), torch.randn(4)
    torch.testing.assert_close(euler_step(latents, clean, torch.tensor(2.0), torch.tensor(0.0)), clean)


def test_a_step_keeps_the_noise_that_is_left():
    clean, noise = torch.randn(4), torch.randn(4)
    moved = euler_step(clean + 2 * noise, clean, torch.tensor(2.0), torch.tensor(0.5))
    torch.testing.assert_close(moved, clean + 0.5 * noise)


def test_guidance():
    conditional, unconditional = torch.tensor([3.0]), torch.tensor([1.0])
    assert guide(conditional, unconditional, 1.0).item() == 3
    torch.testing.assert_close(guide(conditional, unconditional, 1.2), torch.tensor([3.4]))
