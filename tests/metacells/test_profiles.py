from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from scproto.metacells.profiles import TEMPERATURE, Profiles, fit_profiles, unit_rows


def example(seed: int = 0, n_cells: int = 40, n_genes: int = 30, n_prototypes: int = 4):
    rng = np.random.default_rng(seed)
    rates = rng.gamma(0.5, 1, (n_prototypes, n_genes))
    nearest = rng.integers(0, n_prototypes, n_cells)
    counts = sparse.csr_matrix(rng.poisson(300 * rates[nearest] / rates.sum(1)[nearest, None]).astype(np.float32))
    return counts, nearest


def blocks(counts, n=7):
    return ((slice(i, min(i + n, counts.shape[0])), counts[i : i + n]) for i in range(0, counts.shape[0], n))


def test_profiles_are_means_over_the_cells_of_a_prototype():
    counts, nearest = example()
    dense = counts.toarray()
    logs = np.log1p(1e4 * dense / np.maximum(dense.sum(1, keepdims=True), 1))
    expected = [np.mean([logs[i] for i in range(len(logs)) if nearest[i] == k], axis=0) for k in range(4)]
    np.testing.assert_allclose(fit_profiles(blocks(counts), nearest, 4).logs, expected, rtol=1e-5)


def test_a_prototype_without_cells_gets_the_mean_of_the_others():
    counts, nearest = example()
    logs = fit_profiles(blocks(counts), nearest, 5).logs
    np.testing.assert_allclose(logs[4], logs[:4].mean(0), rtol=1e-6)


def filled_by_loop(logs, counts, present):
    rates, mean = np.expm1(logs), logs.mean(0)
    share = np.array([row[present].sum() / row.sum() for row in rates])
    result = []
    for cell in counts.toarray():
        total = max(cell[present].sum(), 1)
        guess = np.log1p(cell * 1e4 * share.mean() / total) - mean
        cosine = np.array(
            [
                guess[present]
                @ (row - mean)[present]
                / np.linalg.norm(guess[present])
                / np.linalg.norm((row - mean)[present])
                for row in logs
            ]
        )
        weight = np.exp(cosine / TEMPERATURE)
        weight /= weight.sum()
        own = np.log1p(cell * 1e4 * (weight @ share) / total)
        own[~present] = (weight @ logs)[~present]
        result.append(own / np.linalg.norm(own))
    return np.array(result)


def test_missing_genes_are_completed_like_in_a_loop():
    counts, nearest = example()
    profiles = fit_profiles(blocks(counts), nearest, 4)
    present = np.random.default_rng(1).random(counts.shape[1]) < 0.6
    counts = counts.multiply(present).tocsr()
    np.testing.assert_allclose(
        profiles.fill(counts, present),
        filled_by_loop(profiles.logs.astype(float), counts, present),
        rtol=1e-3,
        atol=1e-5,
    )


def test_with_all_genes_only_the_scale_can_change():
    counts, nearest = example()
    profiles = fit_profiles(blocks(counts), nearest, 4)
    dense = counts.toarray()
    logs = np.log1p(1e4 * dense / dense.sum(1, keepdims=True))
    found = profiles.fill(counts, np.ones(counts.shape[1], bool))
    np.testing.assert_allclose(found, unit_rows(logs), rtol=1e-4, atol=1e-6)


def test_completed_cells_lie_nearer_to_the_whole_cells_than_zeros_do():
    counts, nearest = example(n_cells=200)
    profiles = fit_profiles(blocks(counts), nearest, 4)
    present = np.random.default_rng(2).random(counts.shape[1]) < 0.5
    everything = np.ones_like(present)
    whole, part = profiles.fill(counts, everything), counts.multiply(present).tocsr()
    zeros = profiles.fill(part, everything)
    assert (whole * profiles.fill(part, present)).sum(1).mean() > (whole * zeros).sum(1).mean()


@pytest.mark.parametrize("n_cells", [1, 3])
def test_a_cell_without_counts_gets_a_finite_profile(n_cells):
    counts, nearest = example()
    profiles = fit_profiles(blocks(counts), nearest, 4)
    present = np.arange(counts.shape[1]) < 10
    found = profiles.fill(sparse.csr_matrix((n_cells, counts.shape[1]), dtype=np.float32), present)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-5)


def test_missing_signal_is_the_share_of_the_variance_between_prototypes():
    profiles = Profiles(np.array([[0, 0, 1], [2, 0, 3]], np.float32))
    assert profiles.missing_signal(np.array([True, True, True])) == 0
    assert profiles.missing_signal(np.array([False, True, True])) == pytest.approx(0.5)
    assert profiles.missing_signal(np.array([True, False, True])) == 0
    assert Profiles(np.ones((2, 3), np.float32)).missing_signal(np.array([False, True, True])) == 0
