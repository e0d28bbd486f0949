"""Provide 700 real blood cells as if three labs had measured them."""

from __future__ import annotations

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse

_LABS = ("lab_1", "lab_2", "lab_3")
_DEPTH = np.array([1.0, 0.8, 0.6])
"""Relative sequencing depth of the labs."""
_CAPTURE_SD = 0.6
"""Standard deviation of the log capture rate of a gene between labs."""
_COMPOSITION_CONCENTRATION = 3.0
"""Dirichlet concentration for splitting each cell type over the labs; a lower value splits it less equally."""


def pbmc_three_labs(seed: int = 0) -> AnnData:
    """Provide blood cells with real expression and three simulated labs (semi-synthetic).

    The cells, genes and labels are those of :func:`scanpy.datasets.pbmc68k_reduced`, which is part of scanpy (Zheng et
    al., 2017). The counts are recovered from its log1p values. The labs are simulated: each cell type is split
    unequally over the labs. Each molecule is then kept with a probability that is the depth of the lab times the
    log-normal capture rate of the gene in the lab. No molecule is added, so each cell is a thinned real cell.

    Parameters
    ----------
    seed
        Seed of the labs, the capture rates and the thinning.

    Returns
    -------
    adata : AnnData
        700 cells and 765 genes, with counts in ``X`` (CSR, float32), ``obs["lab"]`` and ``obs["cell_type"]``.

    Examples
    --------
    >>> adata = scproto.datasets.pbmc_three_labs()
    >>> scproto.pp.prepare(adata, batch_key="lab")
    """
    import scanpy as sc

    stored = sc.datasets.pbmc68k_reduced()
    counts = recover_counts(sparse.csr_matrix(stored.raw.X))
    cell_type = stored.obs["bulk_labels"].cat.remove_unused_categories()
    rng = np.random.default_rng(seed)
    lab = _split_over_labs(cell_type.cat.codes.to_numpy(), rng)
    rates = _capture_rates(counts.shape[1], rng)
    obs = pd.DataFrame({"lab": pd.Categorical.from_codes(lab, list(_LABS)), "cell_type": cell_type})
    return AnnData(thin(counts, rates, lab, rng), obs, pd.DataFrame(index=stored.raw.var_names))


def recover_counts(log_values: sparse.csr_matrix) -> sparse.csr_matrix:
    """Undo log1p and depth scaling, where the smallest positive value of a cell stands for one molecule.

    Parameters
    ----------
    log_values
        log1p of counts, scaled by one factor per cell, ``(n_cells, n_genes)``. Every cell has counts.

    Returns
    -------
    counts : scipy.sparse.csr_matrix
        Counts, ``(n_cells, n_genes)``.
    """
    counts = log_values.astype(np.float64)
    counts.data = np.expm1(counts.data)
    smallest = np.minimum.reduceat(counts.data, counts.indptr[:-1])
    counts.data = np.rint(counts.data / np.repeat(smallest, np.diff(counts.indptr)))
    return counts


def thin(
    counts: sparse.csr_matrix, rates: np.ndarray, batch: np.ndarray, rng: np.random.Generator
) -> sparse.csr_matrix:
    """Keep each molecule with the probability for its gene and batch (binomial thinning).

    Parameters
    ----------
    counts
        Counts, ``(n_cells, n_genes)``.
    rates
        Probability of keeping a molecule, ``(n_batches, n_genes)``.
    batch
        Batch of each cell, as a row of ``rates``, ``(n_cells,)``.
    rng
        Random generator.

    Returns
    -------
    thinned : scipy.sparse.csr_matrix
        Counts, ``(n_cells, n_genes)``, float32, without stored zeros.
    """
    cell = np.repeat(np.arange(counts.shape[0]), np.diff(counts.indptr))
    kept = rng.binomial(counts.data.astype(np.int64), rates[batch[cell], counts.indices])
    thinned = sparse.csr_matrix((kept.astype(np.float32), counts.indices, counts.indptr), shape=counts.shape)
    thinned.eliminate_zeros()
    return thinned


def _split_over_labs(cell_type: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw a lab for each cell, with proportions that differ between the cell types."""
    concentration = np.full(len(_LABS), _COMPOSITION_CONCENTRATION)
    shares = rng.dirichlet(concentration, size=cell_type.max() + 1)
    return (rng.random(len(cell_type))[:, None] > shares.cumsum(axis=1)[cell_type, :-1]).sum(axis=1)


def _capture_rates(n_genes: int, rng: np.random.Generator) -> np.ndarray:
    """Draw the probability of keeping a molecule, ``(n_labs, n_genes)``.

    It is the depth of the lab times a log-normal capture rate, which is 1 in the best lab of the gene.
    """
    capture = rng.lognormal(sigma=_CAPTURE_SD, size=(len(_LABS), n_genes))
    return _DEPTH[:, None] * capture / capture.max(axis=0)
