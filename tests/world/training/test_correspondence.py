"""Where things come from, and attention that is taught to look there."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.ndimage import binary_dilation

from stereozero.backbones.dynamicrafter.attention import Attention, Projections, attend
from stereozero.world import render_clip, sample_scene
from stereozero.world.training.correspondence import (
    Origins,
    Targets,
    TaughtAttention,
    attention_loss,
    find_object_origins,
    find_origins,
    mean_taught_loss,
    targets_of,
)

HEIGHT, WIDTH = 16, 24
GRID = np.stack(np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT)), axis=-1)


@pytest.fixture(scope="module")
def scene():
    return sample_scene("complex", seed=3)


@pytest.fixture
def origins():
    """Return random places a little off the cells of two frames, all known, two objects, the main one upper left."""
    places = GRID + np.random.default_rng(0).uniform(-3, 3, (2, HEIGHT, WIDTH, 2))
    on_object = np.zeros((2, HEIGHT, WIDTH), bool)
    on_object[:, :4] = True
    on_main = on_object & (np.arange(WIDTH) < 4)
    return Origins(places, np.ones_like(on_object), on_object, on_main)


def dense(targets: Targets, length: int) -> torch.Tensor:
    """Return targets as a distribution over all positions, (N, P, length)."""
    table = torch.zeros(*targets.index.shape[:2], length)
    return table.scatter_add(-1, targets.index, targets.share)


def test_origins_in_the_frame_before_are_the_backward_flow(scene):
    clip = render_clip(scene, 15, HEIGHT, WIDTH)
    origins = find_origins(scene, 15, [4, 5], HEIGHT, WIDTH)
    assert np.allclose(origins.places[1] - GRID, clip.backward_flow[4], atol=1e-3)
    assert np.allclose(origins.places[0], GRID, atol=1e-4)
    assert origins.known[0].all()


def test_what_the_first_frame_hides_is_not_known(scene):
    clip = render_clip(scene, 15, HEIGHT, WIDTH)
    origins = find_origins(scene, 15, [0, 14], HEIGHT, WIDTH)
    x, y = np.moveaxis(np.rint(origins.places[1][origins.known[1]]), -1, 0).astype(int)
    assert np.array_equal(clip.layer_ids[0][y, x], clip.layer_ids[14][origins.known[1]])
    assert 0.5 < origins.known[1].mean() < 1
    assert np.array_equal(origins.on_object[1], clip.layer_ids[14] >= len(scene.backdrops))


def test_cells_next_to_an_object_move_with_it(scene):
    of_points, of_objects = (find(scene, 15, [0, 14], HEIGHT, WIDTH) for find in (find_origins, find_object_origins))
    about = np.ones((1, 3, 3), bool)
    assert np.array_equal(of_objects.on_object, binary_dilation(of_points.on_object, about))
    assert np.array_equal(of_objects.on_main, binary_dilation(of_points.on_main, about))
    far, main = ~of_objects.on_object, of_points.on_main
    for same in (far, main):
        assert np.allclose(of_objects.places[same], of_points.places[same])
    # Here the main object turns; what its own cells tell of that must hold of those next to them.
    cells = np.concatenate([GRID, np.ones((HEIGHT, WIDTH, 1))], axis=-1)  # (h, w, 3)
    affine = np.linalg.lstsq(cells[main[1]], of_points.places[1][main[1]])[0]  # (3, 2)
    next_to_main = of_objects.on_main[1] & ~main[1]
    assert next_to_main.sum() > 10
    assert np.abs(cells[next_to_main] @ affine - of_objects.places[1][next_to_main]).max() < 0.2


def test_enlarged_objects_are_found_in_the_first_frame_which_shows_them_enlarged():
    scene = sample_scene("simple", seed=2)
    of_points, of_objects = (find(scene, 15, [0, 14], HEIGHT, WIDTH) for find in (find_origins, find_object_origins))
    assert of_objects.known[1][of_objects.on_main[1]].mean() > 0.85
    assert of_objects.on_main[1].sum() > 1.5 * of_points.on_main[1].sum()


def test_targets_lie_where_the_places_are(origins):
    targets = targets_of([origins])
    cells = torch.from_numpy(GRID.reshape(-1, 2)).float()  # (L, 2)
    mean = dense(targets, HEIGHT * WIDTH) @ cells  # (N, L, 2)
    wanted = origins.places.clip(0, [WIDTH - 1, HEIGHT - 1]).reshape(2, -1, 2)
    assert np.allclose(mean, wanted, atol=1e-4)


def test_the_main_object_weighs_half_and_the_rest_a_quarter_each(origins):
    weight = targets_of([origins]).weight
    on_object, on_main = (torch.from_numpy(mask).flatten(1) for mask in (origins.on_object, origins.on_main))
    assert weight[on_main].sum().item() == pytest.approx(0.5)
    assert weight[on_object & ~on_main].sum().item() == pytest.approx(0.25)
    assert weight[~on_object].sum().item() == pytest.approx(0.25)
    unknown = replace(origins, known=np.zeros_like(origins.known))
    assert targets_of([unknown]).weight.sum() == 0


def test_some_positions_have_the_targets_that_they_have_among_all(origins):
    every, some = targets_of([origins]), targets_of([origins], slice(1, None, 4))
    assert torch.equal(some.index, every.index[:, 1::4])
    assert torch.equal(some.share, every.share[:, 1::4])
    assert some.weight.sum().item() == pytest.approx(1)


@pytest.mark.parametrize("positions", [slice(None), slice(2, None, 4)])
def test_the_loss_is_the_cross_entropy(origins, positions):
    targets = targets_of([origins], positions)
    scores = torch.randn(2, 3, HEIGHT * WIDTH, HEIGHT * WIDTH, generator=torch.Generator().manual_seed(0))
    entropies = -(dense(targets, HEIGHT * WIDTH)[:, None] * scores[:, :, positions].log_softmax(-1)).sum(-1).mean(1)
    assert attention_loss(scores[:, :, positions], targets).item() == pytest.approx(
        (entropies * targets.weight).sum().item(), rel=1e-4
    )


@pytest.mark.parametrize(("dtype", "error"), [(torch.float32, 1e-5), (torch.bfloat16, 0.05)])
def test_taught_attention_attends_like_any_other(origins, dtype, error):
    torch.manual_seed(0)
    attention = Attention(32, heads=2, head_channels=16, context_dim=24, image_context=True)
    tokens, few = (torch.randn(2, count, 32) for count in (HEIGHT * WIDTH, 5))
    processor = TaughtAttention(taught=2)
    processor.targets = {HEIGHT * WIDTH: [targets_of([origins])] * 2}
    with_image, without = Projections(tokens, tokens, tokens, few, few), Projections(tokens, tokens, tokens)
    for projections in (with_image, without):
        given = Projections(*(tokens if tokens is None else tokens.to(dtype) for tokens in projections))
        difference = processor(attention, given).float() - attend(attention, projections)
        assert difference.abs().max() < error
    assert 0 < processor.take_loss().item() < 50


def test_each_taught_head_has_targets_of_its_own(origins):
    torch.manual_seed(0)
    elsewhere = replace(origins, places=origins.places[:, ::-1])
    attention = Attention(32, heads=2, head_channels=16, context_dim=24, image_context=True)
    tokens = torch.randn(2, HEIGHT * WIDTH, 32)
    losses = {}
    for name, places in {"ab": (origins, elsewhere), "aa": (origins,) * 2, "bb": (elsewhere,) * 2}.items():
        processor = TaughtAttention(taught=2)
        processor.targets = {HEIGHT * WIDTH: [targets_of([each]) for each in places]}
        processor(attention, Projections(tokens, tokens, tokens))
        losses[name] = processor.take_loss().item()
    first = processor_loss_of_head(tokens, origins, 0)
    second = processor_loss_of_head(tokens, elsewhere, 1)
    assert losses["ab"] == pytest.approx((first + second) / 2, rel=1e-5)
    assert len(set(losses.values())) == 3


def test_no_more_heads_are_taught_than_told(origins):
    torch.manual_seed(0)
    elsewhere = replace(origins, places=origins.places[:, ::-1])
    attention = Attention(32, heads=2, head_channels=16, context_dim=24, image_context=True)
    tokens = torch.randn(2, HEIGHT * WIDTH, 32)
    wanted = {
        1: processor_loss_of_head(tokens, origins, 0),
        3: (processor_loss_of_head(tokens, origins, 0) + processor_loss_of_head(tokens, elsewhere, 1)) / 2,
    }
    for taught, loss in wanted.items():
        processor = TaughtAttention(taught=taught)
        processor.targets = {HEIGHT * WIDTH: [targets_of([each]) for each in (origins, elsewhere, origins)]}
        processor(attention, Projections(tokens, tokens, tokens))
        assert processor.take_loss().item() == pytest.approx(loss, rel=1e-5)


def test_taught_attentions_count_as_many_times_as_they_have_cells(origins):
    torch.manual_seed(0)
    attention = Attention(32, heads=2, head_channels=16, context_dim=24, image_context=True)
    few = replace(
        origins,
        places=origins.places[:, ::2],
        **{name: getattr(origins, name)[:, ::2] for name in ("known", "on_object", "on_main")},
    )
    processors = []
    for one in (origins, few):
        cells = one.known[0].size
        tokens = torch.randn(2, cells, 32)
        processors.append(TaughtAttention(taught=1))
        processors[-1].targets = {cells: [targets_of([one])]}
        processors[-1](attention, Projections(tokens, tokens, tokens))
    many, half = (processor._loss.item() for processor in processors)
    assert mean_taught_loss(processors).item() == pytest.approx((2 * many + half) / 3, rel=1e-5)


def processor_loss_of_head(tokens: torch.Tensor, origins: Origins, head: int) -> float:
    """Return the cross-entropy of one head of two, 16 wide each."""
    part = tokens[..., 16 * head : 16 * (head + 1)]
    scores = part / 4 @ part.transpose(-1, -2)
    return attention_loss(scores[:, None], targets_of([origins])).item()
