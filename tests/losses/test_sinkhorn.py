from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from scipy.special import logsumexp

from scproto.losses import batch_sinkhorn


def naive_sinkhorn(scores, batch, epsilon, n_iterations, share=None):
    """Loop over the batches, in float64."""
    result = np.empty(scores.shape)
    share = np.ones((batch.max() + 1, scores.shape[1])) if share is None else share.astype(np.float64)
    for b in np.unique(batch):
        log_q = scores[batch == b].astype(np.float64) / epsilon
        log_q = log_q - logsumexp(log_q, axis=1, keepdims=True)
        for _ in range(n_iterations):
            log_q = log_q - (logsumexp(log_q, axis=0, keepdims=True) - np.log(share[b]))
            log_q = log_q - logsumexp(log_q, axis=1, keepdims=True)
        result[batch == b] = np.exp(log_q)
    return result


def cosines(n_cells: int, n_prototypes: int, seed: int = 0) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.uniform(-1, 1, (n_cells, n_prototypes)).astype(np.float32))


def uneven_shares(n_batches: int, n_prototypes: int) -> torch.Tensor:
    """Uneven shares that sum to one in each batch."""
    return torch.softmax(2 * cosines(n_batches, n_prototypes, seed=1), dim=1)


@pytest.mark.parametrize("uneven", [False, True], ids=["equal_shares", "uneven_shares"])
@pytest.mark.parametrize(
    ("batch", "n_batches"),
    [
        ([0, 1, 2] * 8, 3),
        ([0] * 23 + [1], 2),
        ([4] * 5 + [1] * 19, 7),
        ([0] * 24, 1),
        ([0], 1),
        ([2], 4),
    ],
    ids=["three_batches", "one_cell_in_a_batch", "absent_batches", "one_batch", "one_cell", "one_cell_absent_batches"],
)
@pytest.mark.parametrize("n_prototypes", [1, 6, 40], ids=["one_prototype", "fewer_than_cells", "more_than_cells"])
def test_equals_a_loop_over_the_batches(batch, n_batches, n_prototypes, uneven):
    scores, batch = cosines(len(batch), n_prototypes), torch.tensor(batch)
    share = uneven_shares(n_batches, n_prototypes) if uneven else None
    log_share = None if share is None else share.log()
    q = batch_sinkhorn(scores, batch, n_batches, epsilon=0.2, n_iterations=4, log_share=log_share)
    expected = naive_sinkhorn(scores.numpy(), batch.numpy(), 0.2, 4, None if share is None else share.numpy())
    np.testing.assert_allclose(q.numpy(), expected, atol=2e-6)


def test_agrees_with_plain_exponentials_where_these_are_safe():
    scores = cosines(12, 5)
    q = np.exp(scores.numpy().astype(np.float64) / 0.5)
    q /= q.sum(1, keepdims=True)
    for _ in range(3):
        q /= q.sum(0)
        q /= q.sum(1, keepdims=True)
    found = batch_sinkhorn(scores, torch.zeros(12, dtype=torch.long), 1, epsilon=0.5)
    np.testing.assert_allclose(found.numpy(), q, atol=1e-6)


def test_without_iterations_it_is_a_softmax():
    scores, batch = cosines(10, 4), torch.arange(10) % 3
    q = batch_sinkhorn(scores, batch, 3, n_iterations=0)
    torch.testing.assert_close(q, torch.softmax(scores / 0.05, dim=1))


@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_extreme_logits_stay_finite_in_float32(scale):
    scores, batch = scale * cosines(30, 8), torch.arange(30) % 2
    q = batch_sinkhorn(scores, batch, 2, epsilon=1e-3)
    assert q.dtype == torch.float32
    assert torch.isfinite(q).all()
    torch.testing.assert_close(q.sum(1), torch.ones(30))


def test_all_cells_on_one_prototype_stay_finite():
    scores = -torch.ones(6, 4)
    scores[:, 2] = 1.0
    q = batch_sinkhorn(scores, torch.zeros(6, dtype=torch.long), 1, epsilon=1e-3, n_iterations=50)
    assert torch.isfinite(q).all()
    torch.testing.assert_close(q.sum(1), torch.ones(6))


def test_at_convergence_each_batch_fills_all_prototypes_equally():
    scores, batch = cosines(60, 5), torch.arange(60) % 3
    batch[:9] = 0  # batches of unequal size
    q = batch_sinkhorn(scores, batch, 3, epsilon=0.3, n_iterations=500)
    for b in range(3):
        mass = q[batch == b].sum(0)
        torch.testing.assert_close(mass, torch.full((5,), (batch == b).sum() / 5), rtol=1e-4, atol=0)


def test_at_convergence_each_prototype_gets_its_share_of_each_batch():
    scores, batch = cosines(60, 5), torch.arange(60) % 3
    batch[:9] = 0
    share = uneven_shares(3, 5)
    q = batch_sinkhorn(scores, batch, 3, epsilon=0.3, n_iterations=500, log_share=share.log())
    for b in range(3):
        torch.testing.assert_close(q[batch == b].sum(0), share[b] * (batch == b).sum(), rtol=1e-4, atol=0)


def test_equal_shares_are_the_default():
    scores, batch = cosines(20, 5), torch.arange(20) % 3
    without = batch_sinkhorn(scores, batch, 3)
    for share in (torch.full((3, 5), 1 / 5), torch.ones(3, 5), torch.tensor([[1.0], [0.2], [7.0]]).expand(3, 5)):
        equal = batch_sinkhorn(scores, batch, 3, log_share=share.log())
        torch.testing.assert_close(equal, without, atol=1e-5, rtol=1e-5)  # only the proportions count


def test_tiny_shares_stay_finite():
    share = torch.tensor([[1 - 3e-30, 1e-30, 1e-30, 1e-30]])
    q = batch_sinkhorn(cosines(9, 4), torch.zeros(9, dtype=torch.long), 1, n_iterations=50, log_share=share.log())
    assert torch.isfinite(q).all()
    torch.testing.assert_close(q[:, 0], torch.ones(9))


def test_carries_no_gradient():
    scores = cosines(6, 3).requires_grad_()
    assert not batch_sinkhorn(scores, torch.zeros(6, dtype=torch.long), 1).requires_grad


SCORES = npst.arrays(np.float32, st.tuples(st.integers(1, 12), st.just(4)), elements=st.floats(-1, 1, width=32))


@settings(deadline=None, max_examples=60)
@given(own=SCORES, other=SCORES, another=SCORES)
def test_rows_sum_to_one_and_no_batch_influences_another(own, other, another):
    results = []
    for second in (other, another):
        scores = torch.from_numpy(np.concatenate([second, own]))
        batch = torch.tensor([3] * len(second) + [1] * len(own))
        q = batch_sinkhorn(scores, batch, 5)
        torch.testing.assert_close(q.sum(1), torch.ones(len(q)), atol=1e-5, rtol=0)
        results.append(q[len(second) :])
    torch.testing.assert_close(*results, atol=1e-5, rtol=1e-5)


@settings(deadline=None, max_examples=40)
@given(scores=SCORES, data=st.data())
def test_order_of_the_cells_does_not_matter(scores, data):
    order = np.array(data.draw(st.permutations(range(len(scores)))))
    batch = torch.arange(len(scores)) % 2
    q = batch_sinkhorn(torch.from_numpy(scores), batch, 2)
    permuted = batch_sinkhorn(torch.from_numpy(scores[order]), batch[order], 2)
    torch.testing.assert_close(permuted, q[order], atol=1e-5, rtol=1e-5)
