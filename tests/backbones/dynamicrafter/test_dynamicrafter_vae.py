import pytest
import torch
from diffusers import AutoencoderKL
from dynamicrafter_goldens import fill, named_state, named_tensor, read_case
from parity import relative_error

from stereozero.backbones.dynamicrafter.official_keys import vae_name

LEVELS = 3


@pytest.fixture(scope="module")
def golden():
    facts, expected = read_case("vae_tiny")
    vae = AutoencoderKL(
        block_out_channels=(64, 128, 128),
        down_block_types=("DownEncoderBlock2D",) * LEVELS,
        up_block_types=("UpDecoderBlock2D",) * LEVELS,
        layers_per_block=1,
        latent_channels=4,
    )
    fill(vae, named_state(facts["weights"], lambda key: vae_name(key, LEVELS)))
    return vae, facts["cases"], expected


@pytest.mark.parametrize("case", ["moments", "moments_odd"])
def test_encoder_equals_the_reference(golden, case):
    vae, cases, expected = golden
    with torch.no_grad():
        moments = vae.encode(named_tensor(*cases[case]["input"])).latent_dist.parameters
    assert relative_error(moments, expected[case]) < 1e-4


def test_scaled_sample_equals_the_reference(golden):
    vae, cases, expected = golden
    case = cases["scaled_sample"]
    with torch.no_grad():
        posterior = vae.encode(named_tensor(*case["input"])).latent_dist
    sample = 0.18215 * (posterior.mean + posterior.std * named_tensor(*case["noise"]))
    assert relative_error(sample, expected["scaled_sample"]) < 1e-4


@pytest.mark.parametrize(("case", "scale"), [("decoded", 1), ("decoded_from_scaled", 0.18215)])
def test_decoder_equals_the_reference(golden, case, scale):
    vae, cases, expected = golden
    with torch.no_grad():
        decoded = vae.decode(named_tensor(*cases[case]["input"]) / scale).sample
    assert relative_error(decoded, expected[case]) < 1e-4
