from __future__ import annotations

import math

import numpy as np
import pytest
import scanpy as sc
from anndata import AnnData

from scproto._errors import InputError
from scproto.datasets import simulate_atlas
from scproto.metrics import log1p_cp10k, scgraph_scores
from scproto.metrics.scgraph import consensus_distances, distance_correlations, relative_distances, trimmed_centroids


@pytest.fixture(scope="module")
def atlas() -> AnnData:
    """Log-normalised cells of two large batches and a small one, with six types, one of them rare."""
    cells = simulate_atlas(620, 300, 3, 6, depth=600, seed=3)
    batches, labels = cells.obs["batch"].astype(str).to_numpy(), cells.obs["cell_type"].astype(str).to_numpy()
    rng = np.random.default_rng(0)
    third, rare = batches == np.unique(batches)[2], labels == np.unique(labels)[0]
    keep = (~third | (np.cumsum(third) <= 60)) & (~rare | (np.cumsum(rare) <= 8))
    cells = AnnData(log1p_cp10k(cells.X[keep]), obs=cells.obs.loc[keep, ["batch", "cell_type"]].astype(str))
    sc.pp.pca(cells, n_comps=12)
    cells.obsm["X_noise"] = rng.normal(size=(cells.n_obs, 5))
    return cells


def score(cells: AnnData, key: str = "X_pca") -> dict[str, float]:
    return scgraph_scores(cells.obsm[key], cells.X, cells.obs["cell_type"], cells.obs["batch"])


def naive_trimmed_mean(values: list[float]) -> float:
    cut = int(0.05 * len(values))
    kept = sorted(values)[cut : len(values) - cut]
    return sum(kept) / len(kept)


def naive_distances(points: np.ndarray, labels: list[str], names: list[str]) -> dict[tuple[str, str], float]:
    """Distances between centroids, each divided by the largest in its column."""
    centroids = {
        name: [naive_trimmed_mean([p[d] for p, own in zip(points, labels, strict=True) if own == name])
               for d in range(points.shape[1])]
        for name in names if name in labels
    }  # fmt: skip
    raw = {(a, b): math.dist(centroids[a], centroids[b]) for a in centroids for b in centroids}
    largest = {b: max(raw[a, b] for a in centroids) for b in centroids}
    return {(a, b): raw[a, b] / largest[b] for a, b in raw if largest[b] > 0}


def naive_pearson(x: list[float], y: list[float], w: list[float]) -> float:
    total = sum(w)
    mx, my = (sum(wi * v for wi, v in zip(w, z, strict=True)) / total for z in (x, y))
    xy = sum(wi * (a - mx) * (b - my) for wi, a, b in zip(w, x, y, strict=True))
    xx, yy = (
        sum(wi * (a - mx) ** 2 for wi, a in zip(w, x, strict=True)),
        sum(wi * (b - my) ** 2 for wi, b in zip(w, y, strict=True)),
    )
    return xy / math.sqrt(xx * yy)


def naive_scores(cells: AnnData, key: str) -> dict[str, float]:
    labels, batches = list(cells.obs["cell_type"]), list(cells.obs["batch"])
    names = sorted(name for name in set(labels) if labels.count(name) >= 10)
    tables = []
    for batch in sorted(set(batches)):
        if batches.count(batch) < 100:
            continue
        own = cells[cells.obs["batch"] == batch].copy()
        sc.pp.highly_variable_genes(own, n_top_genes=min(1000, own.n_vars))
        sc.pp.pca(own, n_comps=10, mask_var="highly_variable")
        tables.append(naive_distances(own.obsm["X_pca"].astype(float), list(own.obs["cell_type"]), names))
    consensus = {}
    for pair in {pair for table in tables for pair in table}:
        found = [table[pair] for table in tables if pair in table]
        consensus[pair] = sum(found) / len(found)
    largest = {b: max(v for (_, c), v in consensus.items() if c == b) for b in names}
    embedded = naive_distances(cells.obsm[key].astype(float), labels, names)
    scores: dict[str, list[float]] = {"rank_pca": [], "corr_pca": [], "corr_weighted": []}
    for b in names:
        pairs = [(embedded[a, b], consensus[a, b] / largest[b]) for a in names if (a, b) in consensus]
        x, y = map(list, zip(*pairs, strict=True))
        ones = [1.0] * len(x)
        ranks = [[float(sorted(z).index(v)) for v in z] for z in (x, y)]
        scores["rank_pca"].append(naive_pearson(*ranks, ones))
        scores["corr_pca"].append(naive_pearson(x, y, ones))
        near = [(a, c, 1 / c) for a, c in pairs if c > 0]
        scores["corr_weighted"].append(naive_pearson(*map(list, zip(*near, strict=True))))
    return {name: sum(values) / len(values) for name, values in scores.items()}


@pytest.mark.parametrize("key", ["X_pca", "X_noise"])
def test_scores_equal_the_naive_loops(atlas: AnnData, key: str) -> None:
    assert atlas.obs["batch"].value_counts().min() < 100
    assert atlas.obs["cell_type"].value_counts().min() < 10
    assert score(atlas, key) == pytest.approx(naive_scores(atlas, key), rel=1e-4)


@pytest.mark.filterwarnings("ignore")
def test_scores_equal_those_of_the_authors(atlas: AnnData) -> None:
    bench = pytest.importorskip("scgraph_bench")
    cells = atlas.copy()
    result = bench.scGraph(adata=cells, batch_key="batch", label_key="cell_type", obsm_keys=["X_pca", "X_noise"]).main()
    for key in ("X_pca", "X_noise"):
        expected = result.loc[key, ["Rank-PCA", "Corr-PCA", "Corr-Weighted"]].astype(float).tolist()
        assert list(score(cells, key).values()) == pytest.approx(expected, rel=1e-4)


def test_pca_keeps_the_distances_and_noise_does_not(atlas: AnnData) -> None:
    pca, noise = score(atlas), score(atlas, "X_noise")
    assert pca["corr_weighted"] > 0.7
    assert noise["corr_weighted"] < 0.5
    assert all(-1 <= value <= 1 for value in (*pca.values(), *noise.values()))


def test_centroids_ignore_outliers_and_are_nan_for_absent_groups() -> None:
    points = np.array([[float(i)] for i in range(19)] + [[1e9]] + [[5.0]])
    codes = np.array([0] * 20 + [2])
    centroids = trimmed_centroids(points, codes, 3, 0.05)
    np.testing.assert_allclose(centroids, [[9.5], [np.nan], [5.0]])
    distances = relative_distances(centroids)
    np.testing.assert_allclose(distances[[0, 0, 2], [0, 2, 0]], [0, 1, 1])
    assert np.isnan(distances[1]).all()


def test_consensus_averages_over_the_batches_with_both_groups() -> None:
    one = np.array([[0, 0.5, 1], [0.5, 0, 0.5], [1, 1, 0]])
    other = np.array([[0, np.nan, 1], [np.nan, np.nan, np.nan], [0.5, np.nan, 0]])
    np.testing.assert_allclose(
        consensus_distances(np.stack([one, other])), [[0, 0.5, 1], [0.5 / 0.75, 0, 0.5], [1, 1, 0]]
    )


def test_equal_distances_correlate_fully_and_constant_ones_are_left_out() -> None:
    distances = relative_distances(np.array([[0.0], [1], [3], [7]]))
    assert distance_correlations(distances, distances) == pytest.approx(
        {"rank_pca": 1, "corr_pca": 1, "corr_weighted": 1}
    )
    alone = np.full((3, 3), np.nan)
    assert all(math.isnan(value) for value in distance_correlations(alone, alone).values())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda z, x, y, b: (z[:-1], x, y, b), "give the same cells"),
        (lambda z, x, y, b: (z, x, y[:-1], b), "the label has shape"),
        (lambda z, x, y, b: (z, np.expm1(x.toarray()), y, b), "give log1p CP10k"),
        (lambda z, x, y, b: (z, x, y, np.arange(len(y)) // 50), "No batch has 100 cells"),
        (lambda z, x, y, b: (z, x, np.where(np.isin(y, np.unique(y)[:3]), "a", "b"), b), "hold 2 labels"),
    ],
    ids=["lengths differ", "label missing", "not logged", "small batches", "two labels"],
)
def test_bad_input_is_refused(atlas: AnnData, change, message: str) -> None:
    labels, batches = atlas.obs["cell_type"].to_numpy(), atlas.obs["batch"].to_numpy()
    with pytest.raises(InputError, match=message):
        scgraph_scores(*change(atlas.obsm["X_pca"], atlas.X, labels, batches))


def test_genes_that_do_not_vary_are_refused() -> None:
    with pytest.raises(InputError, match="Fewer than two genes vary within a batch"):
        scgraph_scores(np.eye(120), np.ones((120, 5)), ["T"] * 120, ["a"] * 120)
