"""scIB scores of an embedding (Luecken et al., Nature Methods 2022), computed by scib-metrics."""

from __future__ import annotations

import logging
from importlib.metadata import version
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from .._arguments import check_seed
from .._errors import InputError
from .groups import finite_scores

logger = logging.getLogger(__name__)

N_NEIGHBORS = 90  # as in scib-metrics' own benchmark
BIO_WEIGHT = 0.6  # as in the scIB paper

Codes = NDArray[np.integer]


def integration_scores(
    embedding: ArrayLike, labels: ArrayLike, batches: ArrayLike, *, max_cells: int = 8000, seed: int = 0
) -> dict[str, float | str]:
    """Score how well an embedding separates cell types and mixes batches.

    The scores are those of scIB as scib-metrics defines them, without min-max scaling. The PCR comparison is left out,
    because it needs the PCA before integration. For all scores, higher is better.

    Parameters
    ----------
    embedding
        Coordinates of the cells, ``(n_cells, n_dims)``.
    labels
        Known cell type of each cell, ``(n_cells,)``.
    batches
        Batch of each cell, ``(n_cells,)``.
    max_cells
        Maximum number of cells to score, because the cost grows with the square of their number. They are drawn at
        random.
    seed
        Seed of the draw and of the neighbour search.

    Returns
    -------
    scores : dict of str to float or str
        ``bio``, the mean of ``isolated_labels``, ``nmi``, ``ari``, ``silhouette_label`` and ``clisi``;
        ``batch``, the mean of ``bras``, ``ilisi``, ``kbet`` and ``graph_connectivity``;
        ``total`` = 0.6 bio + 0.4 batch; the scores that make up these means; and ``scib_metrics_version``, because the
        definitions of BRAS and LISI differ between versions. The batch scores need a label that occurs in two batches.
        Without one, for example with a single batch, they are left out together with ``batch`` and ``total``. Any other
        score that cannot be computed, such as kBET of very few cells, is left out together with the means that include
        it.

    Raises
    ------
    InputError
        If the shapes do not match, a value is missing or not finite, or there are fewer than two labels.
    """
    seed = check_seed(seed)
    x = np.ascontiguousarray(embedding, dtype=np.float32)
    labels, batches = np.asarray(labels), np.asarray(batches)
    _check(x, labels, batches)
    keep = np.random.default_rng(seed).permutation(len(x))[:max_cells]
    # scib-metrics needs codes without gaps, so cells are numbered after the draw.
    x, y, b = x[keep], pd.factorize(labels[keep], sort=True)[0], pd.factorize(batches[keep], sort=True)[0]
    if y.max() == 0:
        raise InputError("All scored cells have the same label: integration scores need at least two labels.")

    neighbors = _neighbors(x, seed)
    bio = _bio(x, y, b, neighbors)
    scores = {**bio, "bio": _mean(bio)}
    if _label_shared(y, b):
        batch = _batch(x, y, b, neighbors)
        scores |= {**batch, "batch": _mean(batch)}
        scores["total"] = BIO_WEIGHT * _mean(bio) + (1 - BIO_WEIGHT) * _mean(batch)
    else:
        logger.info("No label has cells of two batches: the batch scores of scIB and the total are left out.")
    return {**finite_scores(scores), "scib_metrics_version": version("scib-metrics")}


def _check(x: NDArray[np.float32], labels: NDArray[Any], batches: NDArray[Any]) -> None:
    if x.ndim != 2 or labels.shape != x.shape[:1] or batches.shape != x.shape[:1]:
        raise InputError(
            f"The embedding has shape {x.shape}, the labels {labels.shape} and the batches {batches.shape}: "
            "give (n_cells, n_dims), (n_cells,) and (n_cells,)."
        )
    if not np.isfinite(x).all():
        raise InputError("The embedding has NaN or infinite values: leave out the cells that have them.")
    missing = int((pd.isna(labels) | pd.isna(batches)).sum())
    if missing:
        raise InputError(f"{missing} of {len(x)} cells lack a label or a batch: score only the cells that have them.")
    if len(x) < 3:
        raise InputError(f"There are {len(x)} cells: integration scores need at least three.")


def _label_shared(y: Codes, b: Codes) -> bool:
    """Whether some label has at least two batches and more cells than batches, as BRAS requires."""
    counts = pd.crosstab(y, b).to_numpy()
    n_batches = (counts > 0).sum(axis=1)
    return bool(((n_batches > 1) & (n_batches < counts.sum(axis=1))).any())


def _neighbors(x: NDArray[np.float32], seed: int) -> Any:
    from scib_metrics.nearest_neighbors import pynndescent

    return pynndescent(x, n_neighbors=min(N_NEIGHBORS, len(x) - 1), random_state=seed, n_jobs=1)


def _bio(x: NDArray[np.float32], y: Codes, b: Codes, neighbors: Any) -> dict[str, float]:
    import scib_metrics as sm

    clusters = sm.nmi_ari_cluster_labels_kmeans(x, y)
    return _floats(
        isolated_labels=sm.isolated_labels(x, y, b),
        nmi=clusters["nmi"],
        ari=clusters["ari"],
        silhouette_label=sm.silhouette_label(x, y),
        clisi=sm.clisi_knn(neighbors, y),
    )


def _batch(x: NDArray[np.float32], y: Codes, b: Codes, neighbors: Any) -> dict[str, float]:
    import scib_metrics as sm

    return _floats(
        bras=sm.bras(x, y, b),
        ilisi=sm.ilisi_knn(neighbors, b),
        kbet=sm.kbet_per_label(neighbors, b, y),
        graph_connectivity=sm.graph_connectivity(neighbors, y),
    )


def _floats(**scores: Any) -> dict[str, float]:
    return {name: float(score) for name, score in scores.items()}


def _mean(scores: dict[str, float]) -> float:
    return float(np.mean(list(scores.values())))
