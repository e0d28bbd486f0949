from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from scproto.losses import swapped_prediction_loss
from scproto.losses.swav import batch_mean


def views(n_views: int, n_cells: int, n_prototypes: int, n_batches: int, seed: int = 0):
    rng = np.random.default_rng(seed)
    scores = rng.uniform(-1, 1, (n_views, n_cells, n_prototypes))
    assignments = rng.dirichlet(np.ones(n_prototypes), (n_views, n_cells))
    batches = rng.integers(0, n_batches, (n_views, n_cells))
    return tuple(torch.from_numpy(part) for part in (scores, assignments, batches))


def naive_loss(scores, assignments, batches, temperature):
    """Loop over the ordered pairs of views and over the cells, then take the means per batch."""
    pairs = []
    for i in range(len(scores)):
        for j in range(len(scores)):
            if i == j:
                continue
            by_batch = {}
            for cell in range(len(scores[i])):
                logits = scores[i][cell].numpy() / temperature
                log_p = logits - np.log(np.exp(logits).sum())
                entropy = -sum(q * p for q, p in zip(assignments[j][cell].numpy(), log_p, strict=True))
                by_batch.setdefault(int(batches[i][cell]), []).append(entropy)
            pairs.append(np.mean([np.mean(values) for values in by_batch.values()]))
    return np.mean(pairs)


@pytest.mark.parametrize("n_views", [2, 3])
@pytest.mark.parametrize("n_batches", [1, 3])
@pytest.mark.parametrize("n_cells", [1, 11])
def test_equals_a_loop(n_views, n_batches, n_cells):
    """The views draw their batches independently: the partner of a cell may come from another batch."""
    scores, assignments, batches = views(n_views, n_cells, 5, n_batches)
    loss = swapped_prediction_loss(scores, assignments, batches, n_batches, temperature=0.2)
    assert loss.item() == pytest.approx(naive_loss(scores, assignments, batches, 0.2), rel=1e-9)


def test_the_prediction_counts_for_the_batch_of_the_cell_that_predicts():
    scores, assignments, _ = views(2, 4, 3, 1)
    own, partner = torch.tensor([0, 0, 0, 1]), torch.tensor([1, 0, 0, 0])
    loss = swapped_prediction_loss(scores, assignments, torch.stack([own, partner]), 2)
    assert loss.item() == pytest.approx(naive_loss(scores, assignments, [own, partner], 0.1), rel=1e-9)
    assert loss.item() != pytest.approx(naive_loss(scores, assignments, [own, own], 0.1), rel=1e-4)


def test_batches_of_unequal_size_have_the_same_weight():
    """Repeating the cells of one batch changes nothing."""
    scores, assignments, batches = views(2, 6, 4, 1)
    batches = torch.tensor([[0, 0, 0, 0, 0, 2]] * 2)
    repeated = torch.tensor([0, 1, 2, 3, 4, *[5] * 20])
    before = swapped_prediction_loss(scores, assignments, batches, 3)
    after = swapped_prediction_loss(scores[:, repeated], assignments[:, repeated], batches[:, repeated], 3)
    assert after.item() == pytest.approx(before.item(), rel=1e-12)


@pytest.mark.parametrize("n_views", [0, 1])
def test_needs_two_views(n_views):
    with pytest.raises(ValueError, match=f"two or more views, got {n_views}"):
        swapped_prediction_loss(*views(n_views, 3, 2, 1), 1)


def test_gradient_flows_to_the_scores_only():
    scores, assignments, batches = views(2, 5, 3, 2)
    scores.requires_grad_()
    swapped_prediction_loss(scores, assignments, batches, 2).backward()
    assert (scores.grad.abs().sum(2) > 0).all()
    # softmax minus target, so the gradient of each cell sums to zero over the prototypes
    np.testing.assert_allclose(scores.grad.sum(2).numpy(), 0, atol=1e-12)
    assert assignments.grad is None


def test_loss_is_zero_if_predictions_are_confident_and_right():
    scores = torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).expand(2, 2, 2)
    targets = torch.eye(2).expand(2, 2, 2)
    loss = swapped_prediction_loss(scores, targets, torch.tensor([[0, 1]] * 2), 2, temperature=0.01)
    assert loss.item() == pytest.approx(0, abs=1e-6)


@settings(deadline=None, max_examples=60)
@given(
    cells=st.lists(st.tuples(st.floats(-5, 5), st.integers(0, 4)), min_size=1, max_size=20),
)
def test_batch_mean_equals_a_mean_of_means(cells):
    values, batch = (np.array(column) for column in zip(*cells, strict=True))
    expected = np.mean([values[batch == b].mean() for b in np.unique(batch)])
    found = batch_mean(torch.from_numpy(values), torch.from_numpy(batch), 5)
    assert found.item() == pytest.approx(expected, abs=1e-12)
