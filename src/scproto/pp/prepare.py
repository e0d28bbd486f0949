"""Everything that comes before the model: checks, genes, PCA and neighbours."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from importlib.metadata import version

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData
from numpy.typing import NDArray

from .. import _keys
from .._arguments import check_seed, check_whole
from .._errors import InputError
from .._threads import limit_threads
from ..counts.normalise import log1p_cp10k, scale_genes
from ..graph import within_batch_neighbors
from ..inputs import Counts, as_keys, check_adata, join_batches
from .genes import ROUNDING, most_variable

logger = logging.getLogger(__name__)


def prepare(
    adata: AnnData,
    batch_key: str | Sequence[str] | None = None,
    *,
    layer: str | None = None,
    n_top_genes: int = 2000,
    n_pcs: int = 50,
    n_neighbors: int = 10,
    round_counts: bool = False,
    seed: int = 0,
) -> None:
    """Check the counts, choose genes and find each cell's neighbours within its batch.

    Parameters
    ----------
    adata
        Cells and genes with counts, ``(n_cells, n_genes)``: sparse or dense, of any numeric type, in memory or backed.
        Changed in place; the counts stay as they are. Features that ``var["feature_types"]`` calls something else than
        genes (antibodies, guides, peaks) are left out.
    batch_key
        Column of ``adata.obs`` with the batch (donor, lab, technology). Of several columns the product is
        taken: every combination that occurs is a batch. Without it all cells are one batch.
    layer
        Layer with the counts; by default ``adata.X``.
    n_top_genes
        Highly variable genes for the model, ranked within the batches and then by the number of batches
        that agree, so that genes which differ only between the batches are not favoured. All genes that
        vary are taken if there are no more than this.
    n_pcs
        Principal components of log1p CP10k for the neighbours, the genes under Pareto scaling.
    n_neighbors
        Size of the neighbourhoods within a batch; pairs of cells that lie in each other's are kept.
    round_counts
        Round fractional counts, as SoupX, alevin or RSEM leave them, up with the probability of their fraction and else
        down, so that each gene keeps its mean. The model rounds the same way wherever it reads these counts; the matrix
        stays as it is. Numbers that are whole but for small errors are rounded in any case.
    seed
        Of the PCA, and of the rounding.

    Returns
    -------
    Nothing. Written to ``adata``: ``obs["scproto_batch"]``, ``var["scproto_gene"]``,
    ``obsm["X_scproto_pca"]``, ``obsp["scproto_neighbors"]`` and ``uns["scproto"]``.

    Raises
    ------
    InputError
        If the counts or the keys can't be used; the sentence says what to mend.
    """
    seed = check_seed(seed)
    for name, value in {"n_top_genes": n_top_genes, "n_pcs": n_pcs, "n_neighbors": n_neighbors}.items():
        check_whole(name, value)
    counts = check_adata(adata, batch_key=batch_key, layer=layer, rounding=seed if round_counts else None)
    prepare_counts(
        adata,
        counts,
        batch_key,
        layer=layer,
        n_top_genes=n_top_genes,
        n_pcs=n_pcs,
        n_neighbors=n_neighbors,
        round_counts=round_counts,
        seed=seed,
    )


def prepare_counts(
    adata: AnnData,
    counts: Counts,
    batch_key: str | Sequence[str] | None = None,
    *,
    layer: str | None = None,
    n_top_genes: int = 2000,
    n_pcs: int = 50,
    n_neighbors: int = 10,
    round_counts: bool = False,
    seed: int = 0,
) -> None:
    """Do what :func:`prepare` does, with counts that were read and checked before."""
    for notice in counts.notices:
        logger.info(notice)
    batch = join_batches(adata.obs, batch_key)
    with limit_threads():
        genes, pca = _reduce(counts, batch, n_top_genes, n_pcs, seed)
        graph = within_batch_neighbors(pca, batch.codes.astype(np.int64), n_neighbors).mutual()
    adata.obs[_keys.BATCH] = batch
    adata.var[_keys.GENES] = genes
    adata.obsm[_keys.PCA] = pca
    adata.obsp[_keys.NEIGHBORS] = graph.to_sparse()
    _keys.set_record_aside(adata)
    adata.uns[_keys.UNS] = {
        "version": version("scproto"),
        "prepare": {
            "batch_key": as_keys(batch_key),
            "layer": layer or "X",
            "n_genes": int(genes.sum()),
            "n_pcs": n_pcs,
            "n_neighbors": n_neighbors,
            "round_counts": round_counts,
            "seed": seed,
        },
    }


def _reduce(
    counts: Counts, batch: pd.Categorical, n_top_genes: int, n_pcs: int, seed: int
) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
    """Mask of the features for the model, ``(n_vars,)``, and the PCA of these genes, ``(n_cells, n_pcs)``."""
    x, library = log1p_cp10k(counts.matrix)
    genes = _choose_genes(x, batch, n_top_genes)
    del x  # before the chosen genes take as much memory again
    if genes.sum() < 2:
        raise InputError("Fewer than two genes vary between the cells once their depth is equal: give more genes.")
    x, _ = log1p_cp10k(counts.matrix[:, genes], library)
    features = counts.genes.copy()
    features[counts.genes] = genes
    return features, _pca(x, batch, n_pcs, seed)


def _pca(x: sp.csr_matrix, batch: pd.Categorical, n_pcs: int, seed: int) -> NDArray[np.float32]:
    """PCA of log1p CP10k, ``(n_cells, n_pcs)``, with Pareto scaling and without the share of the noise.

    A gene is divided by the square root of its standard deviation, between no scaling, where a few abundant genes
    decide, and unit variance, where the noise of the faint ones does. Components are then shrunk to what their variance
    exceeds that of the last one by, which is taken for noise where further components are left out. `x` is scaled in
    place.
    """
    import scanpy as sc

    deviation = _deviation_within(x, batch)
    varies = deviation > ROUNDING
    if not varies.any():
        raise InputError("No gene varies within a batch once the depth of its cells is equal: check the batch key.")
    scale = np.divide(1.0, np.sqrt(deviation), out=np.zeros_like(deviation), where=varies)
    scale_genes(x, scale)
    n_comps = min(n_pcs, min(x.shape) - 1)
    components, _, _, variance = sc.pp.pca(x, n_comps=n_comps, random_state=seed, return_info=True)
    noise = variance[-1] if 1 < n_comps == n_pcs else 0.0
    signal = 1 - np.divide(noise, variance, out=np.zeros_like(variance), where=variance > 0)
    return np.asarray(components * np.sqrt(signal), np.float32)


def _deviation_within(x: sp.csr_matrix, batch: pd.Categorical) -> NDArray[np.float64]:
    """Standard deviation of each gene around the means of the batches, ``(n_genes,)``."""
    from sklearn.utils.sparsefuncs import mean_variance_axis

    total = np.zeros(x.shape[1])
    for b in range(len(batch.categories)):
        cells = x[batch.codes == b]
        total += cells.shape[0] * mean_variance_axis(cells, axis=0)[1]
    return np.sqrt(total / x.shape[0])


def _choose_genes(x: sp.csr_matrix, batch: pd.Categorical, n_top_genes: int) -> NDArray[np.bool_]:
    """Mask of the genes for the model from log1p CP10k, ``(n_genes,)``."""
    from sklearn.utils.sparsefuncs import mean_variance_axis

    varies: NDArray[np.bool_] = mean_variance_axis(x, axis=0)[1] > 0
    if not varies.all():
        logger.info("%d genes are constant and are left out.", int((~varies).sum()))
    if varies.sum() <= n_top_genes:
        return varies
    return varies & most_variable(x, batch, n_top_genes)
