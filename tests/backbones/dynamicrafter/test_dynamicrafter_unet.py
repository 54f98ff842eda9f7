import pytest
import torch
from dynamicrafter_goldens import build_unet, named_tensor, read_case, split_context
from parity import relative_error

from stereozero.backbones.dynamicrafter import VideoUNet, attend
from stereozero.errors import InputError

CASES = [
    (name, case)
    for size, cases in (("small", ["b2"]), ("tiny", ["b1", "b2", "b1_nofs", "b1_shared_image_tokens", "b1_odd"]))
    for name in (f"unet_{size}_512", f"unet_{size}_256")
    for case in cases
]
SMALL = {
    "model_channels": 16,
    "channel_mult": (1, 2),
    "num_res_blocks": 1,
    "attention_resolutions": (2, 1),
    "num_head_channels": 8,
    "context_dim": 12,
    "norm_num_groups": 8,
}


@pytest.fixture(scope="module")
def goldens():
    """Each golden UNet, built once."""
    built = {}

    def get(name):
        if name not in built:
            facts, expected = read_case(name)
            built[name] = build_unet(facts), facts, expected
        return built[name]

    return get


@pytest.fixture
def unet():
    torch.manual_seed(0)
    unet = VideoUNet(**SMALL)
    for parameter in unet.parameters():  # the zero-initialised layers would hide everything behind them
        torch.nn.init.normal_(parameter, std=0.3)
    return unet.eval()


def small_inputs(clips=1, frames=2):
    generator = torch.Generator().manual_seed(1)
    return {
        "sample": torch.randn(clips, 8, frames, 4, 6, generator=generator),
        "timesteps": 500,
        "text": torch.randn(clips, 5, 12, generator=generator),
        "image": torch.randn(clips, frames, 3, 12, generator=generator),
        "fs": 8,
    }


@pytest.mark.parametrize(("name", "case"), CASES)
def test_equals_the_reference(goldens, name, case):
    unet, facts, expected = goldens(name)
    inputs = facts["cases"][case]
    sample = named_tensor(*inputs["x"])
    context = split_context(named_tensor(*inputs["context"]), frames=sample.shape[2])
    fs = None if inputs["fs"] is None else torch.tensor(inputs["fs"])
    with torch.no_grad():
        actual = unet(sample, torch.tensor(inputs["timesteps"]), **context, fs=fs)
    assert relative_error(actual, expected[inputs["output"]]) < 1e-4


def test_every_parameter_matters(goldens):
    unet, facts, _ = goldens("unet_small_256")
    inputs = facts["cases"]["b2"]
    context = split_context(named_tensor(*inputs["context"]), frames=4)
    sample = named_tensor(*inputs["x"])[:, :, :, :4, :4]
    unet.requires_grad_(True)
    unet(sample, torch.tensor(inputs["timesteps"]), **context, fs=5).square().sum().backward()
    dead = [name for name, parameter in unet.named_parameters() if parameter.grad.abs().max() == 0]
    unet.requires_grad_(False)
    assert dead == []


def test_the_full_unet_has_64_editable_attentions():
    with torch.device("meta"):
        unet = VideoUNet()
    names = [name for name, _ in unet.named_attentions()]
    assert len(names) == 64
    assert names[:4] == [f"input_blocks.1.{t}.transformer_blocks.0.attn{a}" for t in (1, 2) for a in (1, 2)]
    assert names[24] == "middle_block.1.transformer_blocks.0.attn1"
    assert names[-1] == "output_blocks.11.2.transformer_blocks.0.attn2"
    assert set(unet.attn_processors) - set(names) == {f"init_attn.0.transformer_blocks.0.attn{a}" for a in (1, 2)}


def test_attentions_are_named_in_execution_order(unet):
    seen = []
    names = {module: name for name, module in unet.named_attentions()}

    def recording(attention, projections):
        if attention in names:
            seen.append(names[attention])
        return attend(attention, projections)

    unet.set_attn_processor(recording)
    unet(**small_inputs())
    assert seen == list(names.values())
    assert len(seen) == 28


def test_a_processor_gives_the_second_clip_the_first_ones_queries(unet):
    def shared_queries(attention, projections):
        left, _ = projections.query.chunk(2)
        return attend(attention, projections._replace(query=torch.cat([left, left])))

    inputs = small_inputs(clips=2)
    plain = unet(**inputs)
    unet.set_attn_processor(dict.fromkeys((name for name, _ in unet.named_attentions()), shared_queries))
    edited = unet(**inputs)
    torch.testing.assert_close(edited[0], plain[0])
    assert (edited[1] - plain[1]).abs().max() > 1e-3


def test_unknown_processor_name(unet):
    with pytest.raises(InputError, match=r"middle_block\.9"):
        unet.set_attn_processor({"middle_block.9": attend})


def test_save_and_load(unet, tmp_path):
    unet.save_pretrained(tmp_path)
    loaded = VideoUNet.from_pretrained(tmp_path)
    assert loaded.config.norm_num_groups == 8
    torch.testing.assert_close(loaded(**small_inputs()), unet(**small_inputs()), rtol=0, atol=0)


def test_gradient_checkpointing_changes_no_gradient(unet):
    gradients = []
    for checkpointing in (False, True):
        if checkpointing:
            unet.enable_gradient_checkpointing()
        unet.zero_grad()
        unet(**small_inputs()).square().sum().backward()
        gradients.append([parameter.grad.clone() for parameter in unet.parameters()])
    for plain, checkpointed in zip(*gradients, strict=True):
        torch.testing.assert_close(plain, checkpointed)


def test_clips_of_a_batch_do_not_touch_each_other(unet):
    inputs = small_inputs(clips=2)
    both = unet(**inputs)
    second = unet(**{key: value[1:] if torch.is_tensor(value) else value for key, value in inputs.items()})
    torch.testing.assert_close(both[1:], second)


def test_latent_size_that_cannot_be_halved(unet):
    inputs = small_inputs() | {"sample": torch.zeros(1, 8, 2, 5, 6)}
    with pytest.raises(InputError, match=r"5 x 6.*multiples of 2"):
        unet(**inputs)


def test_frame_count_other_than_the_image_tokens(unet):
    inputs = small_inputs() | {"sample": torch.zeros(1, 8, 4, 4, 6)}
    with pytest.raises(InputError, match="clip of 4 frames, but image tokens for 2"):
        unet(**inputs)


def test_a_new_unet_predicts_zero_and_learns():
    torch.manual_seed(0)
    unet = VideoUNet(**SMALL)
    unet.enable_gradient_checkpointing()
    inputs = small_inputs(clips=2)
    assert torch.all(unet(**inputs) == 0)
    target = inputs["sample"][:, :4]
    optimizer = torch.optim.AdamW(unet.parameters(), lr=3e-3)
    losses = []
    for _ in range(12):
        with torch.autocast("cpu", torch.bfloat16):
            loss = (unet(**inputs).float() - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]


@pytest.mark.parametrize("wrong", [{"norm_num_groups": 32}, {"num_head_channels": 12}])
def test_widths_that_do_not_divide(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        VideoUNet(**SMALL | wrong)
