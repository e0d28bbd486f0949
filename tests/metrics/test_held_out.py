from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from scproto.metrics import held_out as module
from scproto.metrics.held_out import held_out_likelihood, split_counts


def example(n_cells: int = 23, n_genes: int = 9, n_batches: int = 3, n_finest: int = 5):
    rng = np.random.default_rng(0)
    counts = sparse.csr_matrix(rng.poisson(rng.gamma(0.7, 4, (n_cells, n_genes))).astype(np.float32))
    seen, held_out = split_counts(counts, rng)
    batch, finest = np.arange(n_cells) % n_batches, rng.integers(n_finest, size=n_cells)
    levels = np.array([np.zeros(n_finest, int), np.arange(n_finest) // 2, np.arange(n_finest)])
    return seen, held_out, batch, finest, levels


def naive(seen, held_out, batch, group, cell) -> float:
    """Fit profiles and factors cell by cell and gene by gene, then predict a cell without its own counts."""
    seen, held_out = seen.toarray().astype(float), held_out.toarray()
    n_cells, n_genes = seen.shape
    batches, groups = sorted(set(batch)), sorted(set(group))
    average = [seen[:, j].sum() / n_cells for j in range(n_genes)]
    part = {b: seen[batch == b].sum() / seen.sum() for b in batches}
    counts = {(g, j): seen[group == g, j].sum() + average[j] for g in groups for j in range(n_genes)}
    exposure = {
        (g, b): seen[(group == g) & (batch == b)].sum() + sum(average) * part[b] for g in groups for b in batches
    }
    target = {(b, j): seen[batch == b, j].sum() + average[j] * part[b] for b in batches for j in range(n_genes)}
    factor = dict.fromkeys(target, 1.0)
    for _ in range(module.N_ITERATIONS if len(batches) > 1 else 0):
        profile = {(g, j): counts[g, j] / sum(exposure[g, b] * factor[b, j] for b in batches) for g, j in counts}
        factor = {(b, j): target[b, j] / sum(exposure[g, b] * profile[g, j] for g in groups) for b, j in factor}
    own, b = group[cell], batch[cell]
    rate = []
    for j in range(n_genes):
        expected = sum(exposure[own, c] * factor[c, j] for c in batches) - seen[cell].sum() * factor[b, j]
        rate.append((counts[own, j] - seen[cell, j]) / expected * factor[b, j] if seen[:, j].any() else 0.0)
    share = np.array(rate) / sum(rate)
    return sum(held_out[cell, j] * np.log(share[j]) for j in range(n_genes) if share[j] > 0)


@pytest.mark.parametrize("n_batches", [1, 3])
@pytest.mark.parametrize("chunk", [4, 512])
def test_equals_the_naive_loop(n_batches, chunk, monkeypatch):
    monkeypatch.setattr(module, "CHUNK", chunk)
    seen, held_out, batch, finest, levels = example(n_batches=n_batches)
    scored = np.array([3, 0, 20, 7, 8, 22])
    found = held_out_likelihood(seen, held_out, batch, finest, levels, scored)
    for i, group in enumerate(levels):
        expected = [naive(seen, held_out, batch, group[finest], cell) for cell in scored]
        np.testing.assert_allclose(found[i], expected, rtol=1e-6)


def test_a_metacell_of_one_cell_predicts_the_average_cell():
    """With one batch, only the average cell is left in the metacell once the cell itself is subtracted."""
    seen, held_out, *_ = example()
    alone = held_out_likelihood(seen, held_out, np.zeros(23, int), np.arange(23), np.arange(23)[None], np.arange(23))[0]
    average = seen.toarray().sum(0) / seen.sum()
    np.testing.assert_allclose(alone, held_out.toarray() @ np.log(average), rtol=1e-6)


def test_the_true_groups_predict_best():
    rng = np.random.default_rng(1)
    profile = rng.gamma(0.5, 2, (4, 60))
    shift = rng.lognormal(0, 0.5, (2, 60))
    group, batch = np.arange(400) % 4, rng.integers(2, size=400)
    counts = sparse.csr_matrix(rng.poisson(profile[group] * shift[batch]).astype(np.float32))
    seen, held_out = split_counts(counts, rng)
    finest = group * 50 + rng.integers(50, size=400)  # 200 groups of two cells
    levels = np.array([np.arange(200) * n // 200 for n in (1, 2, 4, 40, 200)])
    scores = held_out_likelihood(seen, held_out, batch, finest, levels, np.arange(400)).mean(1)
    assert scores.argmax() == 2
    assert scores[3] > scores[4]


def test_cells_without_seen_or_held_out_counts():
    """Two cells lack counts in one of the halves, and one gene has counts only in the held-out half."""
    seen = sparse.csr_matrix(np.array([[0, 0, 0], [3, 1, 0], [2, 2, 0]], dtype=np.float32))
    held_out = sparse.csr_matrix(np.array([[1, 0, 4], [0, 0, 0], [1, 1, 1]], dtype=np.float32))
    zeros = np.zeros(3, int)
    scores = held_out_likelihood(seen, held_out, zeros, zeros, np.zeros((1, 1), int), np.arange(3))[0]
    assert np.isfinite(scores).all()
    assert scores[1] == 0
    np.testing.assert_allclose(scores[0], np.log(5 / 8), rtol=1e-6)


def test_split_keeps_every_count_and_halves_the_total():
    counts = sparse.csr_matrix(np.random.default_rng(0).poisson(3, (200, 50)).astype(np.int32))
    first, second = split_counts(counts, np.random.default_rng(1))
    assert (first + second != counts).nnz == 0
    assert first.data.min() >= 0 <= second.data.min()
    assert first.sum() == pytest.approx(counts.sum() / 2, rel=0.02)


@pytest.mark.parametrize("fraction", [0.0, 0.9, 1.0])
def test_split_follows_the_fraction(fraction):
    counts = sparse.csr_matrix(np.random.default_rng(0).poisson(3, (200, 50)))
    first, second = split_counts(counts, np.random.default_rng(1), fraction)
    assert (first + second != counts).nnz == 0
    assert first.sum() / counts.sum() == pytest.approx(fraction, abs=0.01)
