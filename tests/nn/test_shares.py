from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from scproto.nn import prototype_shares


def random_unit(n: int, seed: int = 0) -> Tensor:
    return F.normalize(torch.randn(n, 4, generator=torch.Generator().manual_seed(seed)), dim=1)


def naive_shares(unit, batch, prototypes, n_batches, temperature, reach):
    """Loop over batches, cells and prototypes, in float64."""
    unit, prototypes = unit.double().numpy(), prototypes.double().numpy()
    n_prototypes = len(prototypes)
    own = {}
    for b in set(batch.tolist()):
        rows = []
        for cell in unit[(batch == b).numpy()]:
            p = np.exp([float(np.dot(cell, k)) / temperature for k in prototypes])
            rows.append(p / p.sum())
        own[b] = np.mean(rows, axis=0)
    pooled = np.mean(list(own.values()), axis=0)
    shares = np.empty((n_batches, n_prototypes))
    for b in range(n_batches):
        for k in range(n_prototypes):
            near = [np.exp((np.dot(prototypes[k], other) - 1) / reach) for other in prototypes]
            here, everywhere = np.dot(near, own.get(b, pooled)), np.dot(near, pooled)
            shares[b, k] = (pooled[k] + 1 / n_prototypes) / 2 * here / everywhere
    return shares / shares.sum(1, keepdims=True)


@settings(deadline=None, max_examples=60)
@given(
    batch=st.lists(st.integers(0, 3), min_size=1, max_size=20),
    n_prototypes=st.integers(1, 30),
    n_absent=st.integers(0, 2),
    temperature=st.sampled_from([0.05, 0.5]),
    reach=st.sampled_from([0.05, 0.15, 1.0]),
)
def test_equals_a_loop(batch, n_prototypes, n_absent, temperature, reach):
    unit, prototypes = random_unit(len(batch)), random_unit(n_prototypes, seed=1)
    batch, n_batches = torch.tensor(batch), 4 + n_absent
    found = prototype_shares(unit, batch, prototypes, n_batches, temperature=temperature, reach=reach)
    assert found.shape == (n_batches, n_prototypes)
    assert found.dtype == torch.float32
    expected = naive_shares(unit, batch, prototypes, n_batches, temperature, reach)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    torch.testing.assert_close(found.sum(1), torch.ones(n_batches))
    assert (found > 0).all()


def test_defaults():
    unit, batch, prototypes = random_unit(30), torch.arange(30) % 2, random_unit(5, seed=1)
    expected = naive_shares(unit, batch, prototypes, 2, 0.05, 0.15)
    np.testing.assert_allclose(prototype_shares(unit, batch, prototypes, 2), expected, atol=1e-5)


@pytest.mark.parametrize("chunk", [1, 7, 10, 20, 100])
def test_chunks_do_not_matter(monkeypatch, chunk):
    unit, batch, prototypes = random_unit(20), torch.arange(20) % 3, random_unit(6, seed=1)
    whole = prototype_shares(unit, batch, prototypes, 3)
    monkeypatch.setattr("scproto.nn.shares.CHUNK", chunk)
    torch.testing.assert_close(prototype_shares(unit, batch, prototypes, 3), whole)


def test_one_prototype_gets_all():
    shares = prototype_shares(random_unit(9), torch.arange(9) % 2, random_unit(1), 2)
    torch.testing.assert_close(shares, torch.ones(2, 1))


AXES = torch.eye(4)


def test_one_cell_in_one_batch():
    shares = prototype_shares(AXES[:1], torch.tensor([0]), AXES[:3], 1)
    torch.testing.assert_close(shares, torch.tensor([[4 / 6, 1 / 6, 1 / 6]]))  # one half its own, the other equal


def test_the_prototype_of_a_population_gets_little_of_a_batch_that_lacks_it():
    """The first batch has two populations at a right angle, the second batch only the first of them."""
    unit, batch = AXES[[0, 1, 0, 0]], torch.tensor([0, 0, 1, 1])
    shares = prototype_shares(unit, batch, AXES[:2], 2, reach=0.05)
    # (3/4 + 1/2, 1/4 + 1/2) times (1/2 / 3/4, 1/2 / 1/4)
    expected = torch.tensor([[5 / 6, 9 / 6], [5 / 3, 0.0]])
    torch.testing.assert_close(shares, expected / expected.sum(1, keepdim=True), atol=1e-6, rtol=1e-6)


def test_near_prototypes_are_shared_and_far_ones_are_not():
    """Each batch sits on its own prototype; the two lie in the same region or at a right angle."""
    near = F.normalize(torch.tensor([[1.0, 0.0], [1.0, 0.2]]), dim=1)
    batch = torch.tensor([0, 1])
    together = prototype_shares(near, batch, near, 2, temperature=0.001)
    torch.testing.assert_close(together, torch.full((2, 2), 0.5), atol=0.05, rtol=0)
    apart = prototype_shares(AXES[:2], batch, AXES[:2], 2)
    torch.testing.assert_close(apart, torch.eye(2), atol=0.01, rtol=0)


@pytest.mark.parametrize(("reach", "expected"), [(1e-3, [[0.9, 0.1], [0.1, 0.9]]), (1e3, [[0.5, 0.5], [0.5, 0.5]])])
def test_reach_goes_from_own_to_common_shares(reach, expected):
    unit, batch = AXES[[0] * 9 + [1] + [0] + [1] * 9], torch.arange(20) // 10
    shares = prototype_shares(unit, batch, AXES[:2], 2, reach=reach)
    torch.testing.assert_close(shares, torch.tensor(expected), atol=1e-3, rtol=0)


def test_a_batch_without_cells_gets_the_common_shares():
    unit, batch = AXES[[0, 1, 0, 0]], torch.tensor([0, 0, 2, 2])
    shares = prototype_shares(unit, batch, AXES[:2], 3)
    torch.testing.assert_close(shares[1], torch.tensor([0.75 + 0.5, 0.25 + 0.5]) / 2)
    torch.testing.assert_close(shares[[0, 2]], prototype_shares(unit, batch // 2, AXES[:2], 2))


def test_size_of_the_batches_does_not_matter():
    unit, batch, prototypes = random_unit(12), torch.arange(12) % 2, random_unit(5, seed=1)
    repeated = torch.cat([unit, unit[batch == 1].repeat(9, 1)])
    batches = torch.cat([batch, torch.ones(54, dtype=torch.long)])
    torch.testing.assert_close(
        prototype_shares(repeated, batches, prototypes, 2), prototype_shares(unit, batch, prototypes, 2)
    )
