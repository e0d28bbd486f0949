"""Prepare cells for the model: checks, genes, PCA and neighbours."""

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
from ..graph import MANY_BATCHES, alike_batches, some_of_each, within_batch_neighbors
from ..inputs import Counts, as_keys, check_adata, join_batches
from .genes import ROUNDING, most_variable

logger = logging.getLogger(__name__)

CELLS_PER_BATCH = 250
"""Maximum number of cells of each batch by which batches are compared."""


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
        The results are written to it: ``obs["scproto_batch"]``, ``obs["scproto_group"]`` if batches form groups,
        ``var["scproto_gene"]``, ``obsm["X_scproto_pca"]``, ``obsp["scproto_neighbors"]`` and ``uns["scproto"]``. The
        counts stay unchanged. Features that ``var["feature_types"]`` marks as other than genes (antibodies, guides,
        peaks) are left out.
    batch_key
        Column of ``adata.obs`` with the batch (donor, lab, technology). If you give several columns, each combination
        that occurs is a batch. By default, all cells form one batch. If there are more than eight batches, those that
        behave alike form groups (:func:`scproto.graph.alike_batches`), and a group counts as one batch for the genes,
        the neighbours and the training.
    layer
        Layer with the counts; by default ``adata.X``.
    n_top_genes
        Number of highly variable genes for the model. Genes are ranked within the batches and then by the number of
        batches that agree, so that genes that differ only between the batches are not favoured. If at most this many
        genes vary, all of them are taken.
    n_pcs
        Number of principal components in which neighbours are found. The PCA is that of log1p CP10k with Pareto
        scaling of the genes.
    n_neighbors
        Size of the neighbourhoods within a batch. Two cells become neighbours if each is in the neighbourhood of the
        other.
    round_counts
        Whether to round fractional counts, such as those of SoupX, alevin or RSEM. Each is rounded up with the
        probability of its fraction and otherwise down, so that each gene keeps its mean. The model rounds in the same
        way wherever it reads these counts; the matrix stays unchanged. Whole numbers with small errors are rounded in
        any case.
    seed
        Seed of the PCA and of the rounding.

    Raises
    ------
    InputError
        If the counts or the keys cannot be used. The sentence says how to mend it.
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
    """Do what :func:`prepare` does, with counts that have already been read and checked.

    The parameters are those of :func:`prepare`, except for `counts`, the counts in `adata`.
    """
    for notice in counts.notices:
        logger.info(notice)
    batch = join_batches(adata.obs, batch_key)
    with limit_threads():
        group, genes, pca = _reduce(counts, batch, n_top_genes, n_pcs, seed)
        graph = within_batch_neighbors(pca, group.codes.astype(np.int64), n_neighbors).mutual()
    adata.obs[_keys.BATCH] = batch
    _write_groups(adata, batch, group)
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


def _write_groups(adata: AnnData, batch: pd.Categorical, group: pd.Categorical) -> None:
    """Write the group of each cell's batch, unless every batch is a group of its own."""
    if len(group.categories) < len(batch.categories):
        adata.obs[_keys.GROUP] = group
        logger.info(
            "The %d batches form %d groups of batches that behave alike.", len(batch.categories), len(group.categories)
        )
    elif _keys.GROUP in adata.obs:
        del adata.obs[_keys.GROUP]


def _reduce(
    counts: Counts, batch: pd.Categorical, n_top_genes: int, n_pcs: int, seed: int
) -> tuple[pd.Categorical, NDArray[np.bool_], NDArray[np.float32]]:
    """Return the group of each cell's batch, a mask of the genes for the model, and their PCA ``(n_cells, n_pcs)``."""
    x, library = log1p_cp10k(counts.matrix)
    group = _group(x, batch, n_top_genes, n_pcs, seed)
    genes = _choose_genes(x, group, n_top_genes)
    if n_constant := int((~_varies(x)).sum()):
        logger.info("%d genes are constant and are left out.", n_constant)
    del x  # frees memory before the chosen genes need as much again
    if genes.sum() < 2:
        raise InputError("Fewer than two genes vary between the cells after depth normalisation: give more genes.")
    x, _ = log1p_cp10k(counts.matrix[:, genes], library)
    features = counts.genes.copy()
    features[counts.genes] = genes
    return group, features, _pca(x, group, n_pcs, seed)


def _group(x: sp.csr_matrix, batch: pd.Categorical, n_top_genes: int, n_pcs: int, seed: int) -> pd.Categorical:
    """Group many batches by how alike they are, in a PCA of some of their cells; few batches stay as they are."""
    if len(batch.categories) <= MANY_BATCHES:
        return batch
    drawn = some_of_each(batch.codes.astype(np.int64), CELLS_PER_BATCH, np.random.default_rng(seed))
    some, of_some = x[drawn], batch[drawn]
    genes = _choose_genes(some, of_some, n_top_genes)
    if genes.sum() < 2:
        return batch
    group = alike_batches(_pca(some[:, genes], of_some, n_pcs, seed), of_some.codes.astype(np.int64), seed=seed)
    if len(group) == group.max() + 1:
        return batch
    return pd.Categorical.from_codes(group[batch.codes], [f"group_{i}" for i in range(group.max() + 1)])


def _pca(x: sp.csr_matrix, batch: pd.Categorical, n_pcs: int, seed: int) -> NDArray[np.float32]:
    """Compute the PCA of log1p CP10k with Pareto scaling, shrunk by the variance of the noise, ``(n_cells, n_pcs)``.

    Each gene is divided by the square root of its standard deviation. Without scaling, a few abundant genes would
    dominate; with unit variance, the noise of faint genes would. If further components are left out, the variance of
    the last component counts as noise, and each component is shrunk so that its variance loses this amount. `x` is
    scaled in place.
    """
    import scanpy as sc

    deviation = _deviation_within(x, batch)
    varies = deviation > ROUNDING
    if not varies.any():
        raise InputError("No gene varies within a batch after depth normalisation: check the batch key.")
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
    """Choose the genes for the model from log1p CP10k, mask ``(n_genes,)``."""
    varies = _varies(x)
    if varies.sum() <= n_top_genes:
        return varies
    return varies & most_variable(x, batch, n_top_genes)


def _varies(x: sp.csr_matrix) -> NDArray[np.bool_]:
    """Whether each gene varies over the cells, ``(n_genes,)``."""
    from sklearn.utils.sparsefuncs import mean_variance_axis

    varies: NDArray[np.bool_] = mean_variance_axis(x, axis=0)[1] > 0
    return varies
