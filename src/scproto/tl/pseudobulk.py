"""Summed counts of each sample in groups of metacells, and the genes that differ between conditions."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData
from numpy.typing import NDArray

from .. import _keys
from .._arguments import check_whole
from .._errors import InputError
from .._labels import as_text
from ..inputs import read_prepared
from ..metrics.groups import membership
from .cohort import Cohort, as_frame, read_cohort
from .compare import MIN_CELLS, codes_of

logger = logging.getLogger(__name__)

SAMPLE, GROUP, N_CELLS = "sample", "group", "n_cells"
"""Columns of ``obs`` of the pseudobulk."""

MIN_COUNTS = 10
"""Counts over all samples below which a gene is not tested."""


def pseudobulk(
    adata: AnnData, sample_key: str, n: int | None = None, *, metacells: AnnData | None = None, layer: str | None = None
) -> AnnData:
    """Sum the counts of the cells of each sample in each group of metacells.

    Parameters
    ----------
    adata
        Cells after :func:`scproto.tl.assign_metacells`, with their counts. Nothing is changed.
    sample_key
        Column of ``obs`` with the sample of each cell.
    n
        Number of groups, from 1 to the number of metacells: a cut through their tree. It needs `metacells`. By default
        each metacell is a group, which is too fine for most cohorts.
    metacells
        The table from ``model.get_metacells`` at the level of the cells.
    layer
        Layer with the counts; by default that of :func:`scproto.pp.prepare`.

    Returns
    -------
    pseudobulk : AnnData
        One row per sample and group that have cells, with the sums in ``X`` (CSR). ``obs`` has ``sample``, ``group``
        (name of the metacell, or ``node_<number>`` of the branch, as in :func:`compare`), ``n_cells``, and those
        columns of the cells that have one value per sample.

    Raises
    ------
    InputError
        If a column is missing or has missing values, the counts cannot be read, or there is no such cut.
    """
    if _keys.METACELL not in adata.obs:
        raise InputError("The cells have no metacells: run scproto.tl.assign_metacells(adata, model) first.")
    if sample_key not in adata.obs or adata.obs[sample_key].isna().any():
        raise InputError(
            f"obs[{sample_key!r}] is missing or lacks values: choose a column with the sample of each cell."
        )
    if n is not None and metacells is None:
        raise InputError("n needs the tree of the metacells: give metacells=model.get_metacells(), too.")
    code, names = codes_of(adata, metacells)
    if metacells is not None and n is not None:
        names, group_of = _cut(metacells, n)
        code = group_of[code]
    counts = read_prepared(adata, layer)
    sample = as_text(adata.obs[sample_key])
    row_of_cell = sample.codes.astype(np.int64) * len(names) + code
    used, row, n_cells = np.unique(row_of_cell, return_inverse=True, return_counts=True)
    sample_of, group_of_row = np.divmod(used, len(names))
    obs = pd.DataFrame({SAMPLE: sample.categories[sample_of], GROUP: np.asarray(names, dtype=object)[group_of_row]})
    obs[N_CELLS] = n_cells
    obs = pd.concat([obs, _of_samples(adata.obs, sample, sample_of, {*obs.columns})], axis=1)
    obs.index = pd.Index([f"{a} | {b}" for a, b in zip(obs[SAMPLE], obs[GROUP], strict=True)], dtype=object)
    total = sp.csr_matrix(membership(row, len(used)) @ counts.matrix.astype(np.float64, copy=False))
    return AnnData(total, obs=obs, var=pd.DataFrame(index=adata.var_names[counts.genes].astype(object)))


def compare_expression(
    pseudobulk: AnnData,
    condition_key: str,
    *,
    reference: str | None = None,
    donor_key: str | None = None,
    block_key: str | None = None,
    min_cells: int = MIN_CELLS,
) -> pd.DataFrame:
    """Find the genes that differ between conditions within each group of metacells, by DESeq2.

    PyDESeq2 (``pip install "scproto[cohort]"``) fits each group apart, with samples as replicates.

    Parameters
    ----------
    pseudobulk
        Sums from :func:`pseudobulk`.
    condition_key, reference, donor_key, block_key
        As in :func:`compare`; columns of ``pseudobulk.obs``.
    min_cells
        Number of cells below which a sample is left out of a group. A group is left out, with a notice, if the
        samples that remain do not allow the comparison.

    Returns
    -------
    table : pandas.DataFrame
        One line per group, condition and gene with at least ten counts, with the smallest p-values first: ``group``,
        ``condition``, ``reference``, ``names``, ``mean`` (normalised counts), ``logfoldchanges`` (log2), ``error``,
        ``pvals`` and ``pvals_adj`` (Benjamini-Hochberg within group and condition, as PyDESeq2 filters genes).

    Raises
    ------
    InputError
        If a column is missing or no group allows the comparison.
    ImportError
        If PyDESeq2 is not installed.

    References
    ----------
    Muzellec et al., Bioinformatics 2023 (PyDESeq2); Love et al., Genome Biology 2014 (DESeq2).
    """
    min_cells = check_whole("min_cells", min_cells)
    try:
        import pydeseq2  # noqa: F401
    except ImportError as error:
        raise ImportError(
            'compare_expression needs PyDESeq2, which is not installed: pip install "scproto[cohort]".'
        ) from error
    for key in (SAMPLE, GROUP, N_CELLS):
        if key not in pseudobulk.obs:
            raise InputError(f"obs has no column {key!r}: take the sums from scproto.tl.pseudobulk.")
    keys = {"reference": reference, "donor_key": donor_key, "block_key": block_key}
    read_cohort(pseudobulk.obs, SAMPLE, condition_key, **keys)
    tables, reasons = [], {}
    for name, rows in pseudobulk.obs.groupby(GROUP, observed=True, sort=False):
        part = pseudobulk[rows.index[rows[N_CELLS] >= min_cells]]
        try:
            cohort = read_cohort(part.obs, SAMPLE, condition_key, **keys)
        except InputError as error:
            reasons[name] = str(error)
            continue
        tables += list(_tables(part, cohort, str(name)))
    for name, reason in reasons.items():
        logger.warning("The group %s is left out: %s", name, reason)
    if not tables:
        raise InputError("No group has enough cells of enough samples: lower min_cells, or sum over fewer groups (n).")
    return pd.concat(tables, ignore_index=True)


def _tables(part: AnnData, cohort: Cohort, group: str) -> Iterator[pd.DataFrame]:
    """Yield the genes of a group, one table per condition other than the reference."""
    from pydeseq2.dds import DeseqDataSet
    from pydeseq2.ds import DeseqStats

    counts = (membership(cohort.sample, len(cohort.names)) @ part.X).toarray()
    kept = counts.sum(axis=0) >= MIN_COUNTS
    frame = as_frame(cohort)
    genes = pd.DataFrame(counts[:, kept].astype(np.int64), index=frame.index, columns=part.var_names[kept])
    if genes.empty:
        return
    design = "~" + " + ".join(reversed(frame.columns))
    dataset = DeseqDataSet(counts=genes, metadata=frame, design=design, quiet=True, n_cpus=1)
    with warnings.catch_warnings():
        # PyDESeq2 then takes the mean of the dispersions, as DESeq2 does.
        warnings.filterwarnings("ignore", "The dispersion trend curve fitting did not converge", UserWarning)
        dataset.deseq2()
    for condition in cohort.others:
        test = DeseqStats(dataset, contrast=["condition", condition, cohort.reference], quiet=True, n_cpus=1)
        test.summary()
        found = test.results_df.sort_values("pvalue", kind="stable")
        yield pd.DataFrame(
            {
                "group": group,
                "condition": condition,
                "reference": cohort.reference,
                "names": found.index.to_numpy(dtype=object),
                "mean": found["baseMean"].to_numpy(),
                "logfoldchanges": found["log2FoldChange"].to_numpy(),
                "error": found["lfcSE"].to_numpy(),
                "pvals": found["pvalue"].to_numpy(),
                "pvals_adj": found["padj"].to_numpy(),
            }
        )


def _cut(metacells: AnnData, n: int) -> tuple[list[str], NDArray[np.intp]]:
    """Cut the tree into `n` groups: their names, and the group of each metacell, ``(n_metacells,)``."""
    n_leaves = metacells.n_obs
    n = check_whole("n", n, 1, n_leaves)
    node: dict[int, list[int]] = {i: [i] for i in range(n_leaves)}
    tree = np.asarray(metacells.uns[_keys.TREE]).reshape(-1, 4)
    for i, (left, right) in enumerate(tree[: n_leaves - n, :2].astype(int)):
        node[n_leaves + i] = node.pop(left) + node.pop(right)
    group_of = np.empty(n_leaves, dtype=np.intp)
    for i, leaves in enumerate(node.values()):
        group_of[leaves] = i
    return [str(metacells.obs_names[i]) if i < n_leaves else f"node_{i}" for i in node], group_of


def _of_samples(
    obs: pd.DataFrame, sample: pd.Categorical, sample_of: NDArray[np.integer], taken: set[str]
) -> pd.DataFrame:
    """Columns of the cells with one value per sample, one row per row of the pseudobulk."""
    first = np.unique(sample.codes, return_index=True)[1]
    columns = {}
    for key in obs.columns.difference(list(taken), sort=False):
        codes = pd.factorize(obs[key], use_na_sentinel=False)[0]
        if (codes == codes[first][sample.codes]).all():
            columns[key] = obs[key].iloc[first].iloc[sample_of].reset_index(drop=True)
    return pd.DataFrame(columns, index=range(len(sample_of)))
