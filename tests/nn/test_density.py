from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from scproto.nn import density_weights


def random_unit(n: int, seed: int = 0) -> Tensor:
    return F.normalize(torch.randn(n, 4, generator=torch.Generator().manual_seed(seed)), dim=1)


def naive_weights(unit, prototypes, temperature, power):
    """Loop over cells and prototypes, in float64."""
    cosine = [[float(np.dot(cell, p)) for p in prototypes.double().numpy()] for cell in unit.double().numpy()]
    mass = np.zeros(len(prototypes))
    for row in cosine:
        mass[int(np.argmax(row))] += 1
    density = [sum(m * np.exp((c - 1) / temperature) for m, c in zip(mass, row, strict=True)) for row in cosine]
    weights = np.array([d**-power for d in density])
    return weights / weights.mean()


@settings(deadline=None, max_examples=60)
@given(
    n_cells=st.integers(1, 20),
    n_prototypes=st.integers(1, 30),
    temperature=st.sampled_from([0.1, 0.5]),
    power=st.sampled_from([0.0, 0.5, 1.0]),
)
def test_equals_a_loop(n_cells, n_prototypes, temperature, power):
    unit, prototypes = random_unit(n_cells), random_unit(n_prototypes, seed=1)
    found = density_weights(unit, prototypes, temperature=temperature, power=power)
    assert found.dtype == torch.float32
    expected = naive_weights(unit, prototypes, temperature, power)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-4)
    assert found.mean().item() == pytest.approx(1, rel=1e-5)


def test_defaults():
    unit, prototypes = random_unit(30), random_unit(5, seed=1)
    np.testing.assert_allclose(density_weights(unit, prototypes), naive_weights(unit, prototypes, 0.1, 0.5), rtol=1e-4)


@pytest.mark.parametrize("chunk", [1, 7, 10, 20, 100])
def test_chunks_do_not_matter(monkeypatch, chunk):
    unit, prototypes = random_unit(20), random_unit(6, seed=1)
    whole = density_weights(unit, prototypes)
    monkeypatch.setattr("scproto.nn.density.CHUNK", chunk)
    torch.testing.assert_close(density_weights(unit, prototypes), whole)


def test_a_single_cell_has_weight_one():
    assert density_weights(random_unit(1), random_unit(3, seed=1)).tolist() == [1.0]


def test_with_power_zero_all_cells_weigh_the_same():
    assert torch.equal(density_weights(random_unit(20), random_unit(5), power=0.0), torch.ones(20))


@pytest.mark.parametrize(("power", "share"), [(0.0, 0.01), (0.5, 1 / (99**0.5 + 1)), (1.0, 0.5)])
def test_share_of_a_rare_group_far_from_a_common_one(power, share):
    """One cell lies opposite to 99 others: its share of the weights is between 1/100 and one half."""
    place = torch.eye(4)[0]
    unit = torch.cat([place.expand(99, 4), -place.expand(1, 4)])
    weights = density_weights(unit, torch.stack([place, -place]), power=power)
    assert (weights[99] / weights.sum()).item() == pytest.approx(share, rel=1e-4)


def test_prototypes_without_cells_do_not_count():
    unit = F.normalize(random_unit(20).abs(), dim=1)  # all in one orthant
    used, far = torch.eye(4), -torch.ones(1, 4) / 2
    torch.testing.assert_close(density_weights(unit, torch.cat([used, far])), density_weights(unit, used))


def test_cells_opposite_to_all_prototypes_stay_finite():
    place = torch.eye(4)[0]
    weights = density_weights(torch.stack([place, -place]), place[None])
    assert torch.isfinite(weights).all()
    assert weights[1] > weights[0] > 0
