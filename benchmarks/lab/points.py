"""Simulate a PCA of many batches, and make good and broken metacells of it, without counts and without a fit."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from anndata import AnnData
from sklearn.cluster import MiniBatchKMeans

N_TYPES, N_STUDIES, N_DIMS, N_STATES = 24, 5, 50, 2


def simulate_points(n_cells: int, n_batches: int, seed: int = 0) -> AnnData:
    """Simulate cells of types in batches of unequal size and composition, nested in studies.

    A point is the sum of the centre of its type, a state within the type, shifts of its batch and of its study, and
    noise. A batch lacks each type with probability 0.2; the proportions of the others are Dirichlet.

    Returns
    -------
    adata : AnnData
        Cells with ``obs`` columns ``batch``, ``cell_type`` and ``study`` (integers), the points in
        ``obsm["X_scproto_pca"]`` and the states in ``obsm["state"]``.
    """
    rng = np.random.default_rng(seed)
    sizes = rng.lognormal(sigma=0.5, size=n_batches)
    batch = np.append(np.arange(n_batches), rng.choice(n_batches, n_cells - n_batches, p=sizes / sizes.sum()))
    shares = rng.dirichlet(np.ones(N_TYPES), n_batches) * (rng.random((n_batches, N_TYPES)) > 0.2)
    bounds = shares.cumsum(1) / shares.sum(1, keepdims=True)
    kind = (rng.random(n_cells)[:, None] > bounds[batch, :-1]).sum(1)
    state = rng.normal(size=(n_cells, N_STATES))
    centres, shifts = 1.2 * rng.normal(size=(N_TYPES, N_DIMS)), 0.5 * rng.normal(size=(n_batches, N_DIMS))
    studies, axes = 0.5 * rng.normal(size=(N_STUDIES, N_DIMS)), 0.3 * rng.normal(size=(N_TYPES, N_STATES, N_DIMS))
    points = rng.standard_normal((n_cells, N_DIMS), np.float32)
    for t in range(N_TYPES):
        of_type = kind == t
        moved = shifts[batch[of_type]] + studies[batch[of_type] % N_STUDIES]
        points[of_type] += (centres[t] + state[of_type] @ axes[t] + moved).astype(np.float32)
    obs = pd.DataFrame({"batch": batch, "cell_type": kind, "study": batch % N_STUDIES}).set_index(
        pd.Index([f"cell_{i}" for i in range(n_cells)])
    )
    obs["scproto_batch"] = obs["batch"]
    return AnnData(obs=obs, obsm={"X_scproto_pca": points, "state": state}, uns={"scproto": {}})


def metacells_of_points(adata: AnnData, n_metacells: int) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the name and the metacells of each way to make about `n_metacells` good or broken metacells."""
    kind, batch, study = (adata.obs[column].to_numpy() for column in ("cell_type", "batch", "study"))
    points, state = adata.obsm["X_scproto_pca"], adata.obsm["state"]
    skewed = state + 0.3 * np.random.default_rng(0).normal(size=(batch.max() + 1, N_STATES))[batch]
    half = np.where(batch > batch.max() // 2, (kind + 1) % N_TYPES, kind)
    yield "good", _clusters(kind, state, n_metacells)
    yield "good, states shifted by batch", _clusters(kind, skewed, n_metacells)
    yield "one batch each", _clusters(batch, points, n_metacells)
    yield "one study each", _clusters(study * N_TYPES + kind, state, n_metacells)
    yield "k-means of the PCA", _clusters(np.zeros_like(kind), points, n_metacells)
    yield "types merged in pairs", _clusters(kind // 2, state, n_metacells)
    yield "types exchanged", _clusters(half, state, n_metacells)


def _clusters(group: np.ndarray, points: np.ndarray, n_clusters: int) -> np.ndarray:
    """Cluster the points within each group; groups get clusters in proportion to their cells."""
    names = np.empty(len(group), dtype=np.int64)
    n_named = 0
    for one in np.unique(group):
        cells = np.flatnonzero(group == one)
        n = max(1, round(n_clusters * len(cells) / len(group)))
        model = MiniBatchKMeans(n, n_init=1, batch_size=4096, max_iter=10, random_state=0)
        names[cells] = n_named + model.fit_predict(points[cells])
        n_named += n
    return np.unique(names, return_inverse=True)[1]
