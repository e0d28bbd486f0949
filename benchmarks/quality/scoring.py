"""Score embeddings and metacells with ``scproto.metrics``."""

from __future__ import annotations

from typing import Any

import numpy as np
from anndata import AnnData

from scproto import metrics
from scproto._errors import InputError


def score(found: dict[str, np.ndarray], cells: AnnData) -> dict[str, float]:
    """Score the metacells and, if there is one, the embedding.

    `found` holds ``assignment``, the metacell of each cell or -1, and possibly ``embedding``. `cells` has the counts of
    the model's genes, ``obs["batch"]``, ``obs["cell_type"]`` and ``obsm["X_pca"]``. Cells without a cell type do not
    count. Cells without a metacell count only in ``assigned`` and in the scores of the embedding.
    """
    known = cells.obs["cell_type"].notna().to_numpy()
    assignment = found["assignment"]
    taken = known & (assignment >= 0)
    batches, labels = cells.obs["batch"].astype(str), cells.obs["cell_type"]
    scores: dict[str, float] = {"assigned": float(taken.sum() / known.sum())}
    scores |= metrics.metacell_scores(assignment[taken], labels[taken], batches[taken])
    scores |= metrics.homogeneity_scores(cells.X[taken], assignment[taken], batches[taken])
    scores |= metrics.geometry_scores(cells.obsm["X_pca"][taken], assignment[taken])  # one space for all methods
    if "embedding" in found:
        scores |= integration(found["embedding"][known], cells.X[known], labels[known], batches[known])
    return scores


def integration(embedding: np.ndarray, counts: Any, labels: Any, batches: Any) -> dict[str, float]:
    """Score an embedding by scIB, and by scGraph unless batches are too small or labels too few."""
    scores = metrics.integration_scores(embedding, labels, batches)
    try:
        return scores | metrics.scgraph_scores(embedding, metrics.log1p_cp10k(counts), labels, batches)
    except InputError:
        return scores
