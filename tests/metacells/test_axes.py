from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from scproto.metacells import assign
from scproto.metacells.axes import Axes, batch_offsets, fit_axes, principal_axes, query_offsets, shares_of_prototypes

N_PROTOTYPES, N_LATENT, N_GENES = 6, 4, 9


def unit_rows(x: np.ndarray) -> np.ndarray:
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


class Example:
    """Cells around prototypes, and a decoder that is linear on the hypersphere."""

    def __init__(self, n_cells: int = 300, n_batches: int = 3, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.prototypes = unit_rows(rng.normal(size=(N_PROTOTYPES, N_LATENT)))
        member = rng.integers(0, N_PROTOTYPES, n_cells)
        self.unit = unit_rows(self.prototypes[member] + 0.1 * rng.normal(size=(n_cells, N_LATENT)))
        self.batch = rng.integers(0, n_batches, n_cells)
        self.weight = rng.normal(size=(N_LATENT, N_GENES)).astype(np.float32)
        self.n_batches = n_batches

    def decode(self, unit: np.ndarray) -> np.ndarray:
        return unit @ self.weight + 2

    def fit(self, **arguments) -> tuple[Axes, np.ndarray]:
        given = self.decode(self.prototypes), self.unit, self.prototypes, self.batch, self.n_batches
        return fit_axes(self.decode, *given, **arguments)


def offsets_by_loop(y, shares, batch, n_batches):
    """The rounds, cell by cell."""
    n_prototypes, n_axes = shares.shape[1], y.shape[1]
    y, offsets = y.astype(float), np.zeros((n_batches, n_prototypes, n_axes))
    for _ in range(3):
        mass, total = np.zeros((n_batches, n_prototypes)), np.zeros_like(offsets)
        for i in range(len(y)):
            for k in range(n_prototypes):
                mass[batch[i], k] += shares[i, k]
                total[batch[i], k] += shares[i, k] * y[i]
        trust = mass / (mass + 1 + 2 * mass.mean(1, keepdims=True))
        found = np.zeros_like(offsets)
        for k in range(n_prototypes):
            means = [total[b, k] / mass[b, k] if mass[b, k] else np.zeros(n_axes) for b in range(n_batches)]
            centre = sum(trust[b, k] * means[b] for b in range(n_batches)) / max(trust[:, k].sum(), 1e-300)
            for b in range(n_batches):
                found[b, k] = trust[b, k] * (means[b] - centre)
        for i in range(len(y)):
            y[i] -= shares[i] @ found[batch[i]]
        offsets += found
    return offsets


@pytest.mark.parametrize(("n_cells", "n_batches"), [(120, 3), (120, 1), (7, 3), (1, 1), (1, 2)])
def test_offsets_equal_a_loop(n_cells, n_batches):
    example = Example(n_cells, n_batches)
    y = np.random.default_rng(1).normal(size=(n_cells, 2)).astype(np.float32) + example.batch[:, None]
    shares = shares_of_prototypes(example.unit, example.prototypes)
    found = batch_offsets(y, shares, example.batch, n_batches)
    expected = offsets_by_loop(y, shares.toarray().astype(float), example.batch, n_batches)
    np.testing.assert_allclose(found, expected, atol=2e-4)


def test_a_shift_between_batches_is_removed_and_a_population_of_one_batch_stays():
    rng = np.random.default_rng(0)
    member = np.repeat([0, 1, 2], 200)
    batch = np.tile([0, 1], 300)
    batch[member == 2] = 1  # batch 0 lacks this population
    y = (10.0 * np.eye(3)[member] + rng.normal(scale=0.1, size=(600, 3)) + batch[:, None]).astype(np.float32)
    shares = sparse.csr_matrix(np.eye(3, dtype=np.float32)[member])
    aligned = y - batch_offsets(y, shares, batch, 2)[batch, member]
    means = [[aligned[(member == m) & (batch == b)].mean(0) for b in range(2)] for m in range(2)]
    for of_zero, of_one in means:
        assert np.abs(of_zero - of_one).max() < 0.5  # 1 before
    np.testing.assert_allclose(aligned[member == 2], y[member == 2], atol=1e-5)


def test_shares_are_those_of_the_ten_most_probable_prototypes():
    rng = np.random.default_rng(0)
    unit, prototypes = unit_rows(rng.normal(size=(20, 3))), unit_rows(rng.normal(size=(30, 3)))
    shares = shares_of_prototypes(unit, prototypes).toarray()
    for row, cell in zip(shares, unit, strict=True):
        weight = np.exp((prototypes @ cell).astype(float) / 0.025)
        weight[np.argsort(weight)[:-10]] = 0
        np.testing.assert_allclose(row, weight / weight.sum(), atol=1e-4)
    np.testing.assert_array_equal(shares.argmax(1), assign(unit, prototypes).nearest)


@pytest.mark.parametrize("explained", [0.1, 0.8, 0.95, 1.1])
def test_axes_are_the_principal_components_that_hold_the_variance(explained):
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(600, 20)) * np.arange(20, 0, -1)).astype(np.float32)
    loadings, mean = principal_axes(x, explained)
    values, vectors = np.linalg.eigh(np.cov(x.T))
    held = np.cumsum(values[::-1]) / values.sum()
    n_axes = max(8, min(20, 1 + (held < explained).sum()))
    expected = vectors[:, ::-1][:, :n_axes]
    assert loadings.shape == expected.shape
    np.testing.assert_allclose(mean, x.mean(0), rtol=1e-6)
    np.testing.assert_allclose(np.abs((loadings * expected).sum(0)), 1, atol=0.05)
    np.testing.assert_allclose(loadings.T @ loadings, np.eye(loadings.shape[1]), atol=1e-5)
    assert (loadings[np.abs(loadings).argmax(0), np.arange(loadings.shape[1])] > 0).all()


def test_distances_are_those_of_decoded_expression():
    example = Example(n_batches=1)
    axes, embedding = example.fit()
    assert embedding.shape == (300, 8)
    expression = example.decode(example.unit)
    own = ((embedding[:, None] - embedding) ** 2).sum(2)
    np.testing.assert_allclose(own, ((expression[:, None] - expression) ** 2).sum(2), atol=1e-3)
    np.testing.assert_allclose(embedding, (expression - expression.mean(0)) @ axes.loadings, atol=1e-3)


def test_at_the_prototypes_expression_is_averaged_over_the_batches():
    """The average batch decodes too little of every gene; the mean over the batches is right."""
    example = Example(n_batches=1)
    given = example.decode(example.prototypes) + 1, example.unit, example.prototypes, example.batch, 1
    axes, embedding = fit_axes(example.decode, *given)
    expected = example.fit()[1] + axes.loadings.sum(0)
    np.testing.assert_allclose(embedding, expected, atol=1e-3)


def test_cells_embedded_later_get_the_same_coordinates():
    example = Example()
    axes, embedding = example.fit()
    some = np.arange(0, 300, 7)
    again = axes(example.decode, example.unit[some], example.prototypes, example.batch[some])
    np.testing.assert_allclose(again, embedding[some], atol=1e-5)


@pytest.mark.parametrize("n_cells", [1, 2, 5])
def test_few_cells_have_few_axes(n_cells):
    _, embedding = Example(n_cells, 2).fit()
    assert embedding.shape == (n_cells, n_cells)
    assert np.isfinite(embedding).all()


def test_only_a_sample_of_many_cells_finds_the_axes(monkeypatch):
    monkeypatch.setattr("scproto.metacells.axes.N_FITTED", 50)
    example, seen = Example(), []
    decode = example.decode
    example.decode = lambda unit: seen.append(len(unit)) or decode(unit)
    first, again = example.fit(seed=3)[1], example.fit(seed=3)[1]
    assert 50 in seen
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, example.fit(seed=4)[1])


def test_offsets_of_a_query_are_those_of_a_loop():
    rng = np.random.default_rng(3)
    n_cells, n_axes = 60, 5
    y = rng.normal(size=(n_cells, n_axes)).astype(np.float32)
    shares = sparse.random(n_cells, N_PROTOTYPES, 0.5, "csr", random_state=3, dtype=np.float32)
    batch, centres = rng.integers(0, 2, n_cells), rng.normal(size=(N_PROTOTYPES, n_axes)).astype(np.float32)
    expected, dense = np.zeros((3, N_PROTOTYPES, n_axes)), shares.toarray().astype(float)
    for b in range(2):
        own = [i for i in range(n_cells) if batch[i] == b]
        mass = dense[own].sum(0)
        trust = mass / (mass + 1 + 2 * mass.mean())
        for _ in range(3):
            rest = [y[i] - dense[i] @ expected[b] for i in own]
            for k in range(N_PROTOTYPES):
                mean = sum(dense[i, k] * r for i, r in zip(own, rest, strict=True)) / mass[k]
                expected[b, k] += trust[k] * (mean - centres[k])
    found = query_offsets(y, shares, batch, 3, centres)
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert not found[2].any()
