"""Which metacells and branches of their tree change in abundance between conditions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray
from scipy.stats import false_discovery_control

from .. import _keys
from .._arguments import check_whole
from .._errors import InputError
from ..metacells.abundance import compare_counts, reference_sizes
from ..metacells.tree import tree_members
from .cohort import Cohort, read_cohort

METACELL, BRANCH = "metacell", "branch"

MIN_CELLS = 10
"""Number of cells below which a metacell is not tested."""


def compare(
    adata: AnnData,
    sample_key: str,
    condition_key: str,
    *,
    reference: str | None = None,
    donor_key: str | None = None,
    block_key: str | None = None,
    metacells: AnnData | None = None,
    min_cells: int = MIN_CELLS,
) -> pd.DataFrame:
    """Find metacells that are more or less abundant in one condition than in another, with samples as replicates.

    The cells of each metacell in each sample are counted. The log of these counts, relative to the cells of the sample
    in a reference, is fitted by weighted least squares, and tested by a t test whose variances are moderated over the
    metacells (limma; Smyth 2004). The reference is the half of the metacells that change least: if one population
    grows, the shares of all others shrink, which is not a change of theirs. So the changes are relative to the bulk of
    the metacells, which may hardly differ between the conditions; if most populations change in the same direction, the
    others seem to change.

    With `metacells`, each branch of their tree is tested, too: a population that changes is more visible in the sum of
    its metacells. The record in ``uns["scproto"]["compare"]`` of the cells and ``uns["scproto_compare"]`` of the
    metacells (the keys, the number of samples and the table) serves :func:`scproto.pl.compare`.

    Parameters
    ----------
    adata
        Cells after :func:`scproto.tl.assign_metacells`, at any level. Only ``obs`` is used. The record is added to
        ``uns``.
    sample_key
        Column of ``obs`` with the sample of each cell. Samples are the replicates, at least two per condition.
    condition_key
        Column of ``obs`` with the condition, one per sample.
    reference
        Condition that the others are compared with; by default the first of two. It is needed if there are more.
    donor_key
        Column of ``obs`` with the donor, if donors gave several samples. Those of a donor in the same condition are
        one replicate. If some donors have more than one condition, each donor is compared with itself, and those with
        one condition do not count.
    block_key
        Column of ``obs`` with the study, sex or another block, one per sample. Samples are compared within blocks.
        Without effect if donors are compared with themselves.
    metacells
        The table from ``model.get_metacells`` at the level of the cells, with the tree. The record is added to
        ``uns``. By default only the metacells are tested.
    min_cells
        Number of cells below which a metacell or branch is not tested: its p-values are missing.

    Returns
    -------
    table : pandas.DataFrame
        One line per condition other than the reference and metacell or branch, in this order: ``group`` (name of the
        metacell, or ``node_<number>`` of the branch, as in :func:`rank_split_genes`), ``kind`` ("metacell" or
        "branch"), ``condition``, ``reference``, ``n_metacells``, ``n_cells``, ``share`` and ``share_reference`` (mean
        over the samples of either condition of the share of the cells), ``logfoldchanges`` (log2), ``ci_low`` and
        ``ci_high`` (95 % confidence interval), ``pvals`` and ``pvals_adj`` (Benjamini-Hochberg over the metacells, and
        apart from that over the branches, of each condition).

    Raises
    ------
    InputError
        If a column is missing, has missing values or several values per sample; if a condition has fewer than two
        samples, or there are fewer than two conditions; or if blocks and conditions cannot be told apart.

    Examples
    --------
    >>> table = scproto.tl.compare(adata, "donor", "disease", metacells=metacells)
    >>> table[table["pvals_adj"] < 0.05]
    """
    min_cells = check_whole("min_cells", min_cells)
    if _keys.METACELL not in adata.obs:
        raise InputError("The cells have no metacells to compare: run scproto.tl.assign_metacells(adata, model) first.")
    cohort = read_cohort(
        adata.obs, sample_key, condition_key, reference=reference, donor_key=donor_key, block_key=block_key
    )
    code, names = codes_of(adata, metacells)
    shape = len(cohort.names), len(names)
    counts = np.bincount(cohort.sample * shape[1] + code, minlength=shape[0] * shape[1]).reshape(shape)
    kinds = [(METACELL, names, np.eye(len(names), dtype=bool))]
    if metacells is not None:
        kinds.append((BRANCH, *branches_of(metacells)))
    table = _table(counts, cohort, kinds, min_cells)
    keys = {"reference": cohort.reference, "donor_key": donor_key, "block_key": block_key}
    record: dict[str, Any] = {"sample_key": sample_key, "condition_key": condition_key}
    record |= {name: value for name, value in keys.items() if value is not None}
    sizes = cohort.n_samples  # as arrays, because a file reads a slash in a key as a folder
    record |= {"conditions": np.array([*sizes], dtype=object), "n_samples": np.array([*sizes.values()]), "table": table}
    adata.uns[_keys.UNS] = {**_keys.record_of(adata), _keys.COMPARE: record}
    if metacells is not None:
        metacells.uns[_keys.COMPARED] = record
    return table


def codes_of(adata: AnnData, metacells: AnnData | None) -> tuple[NDArray[np.intp], list[str]]:
    """Row of each cell's metacell, ``(n_cells,)``, and the names of the rows; sorted without a table."""
    if metacells is None:
        code, names = pd.factorize(adata.obs[_keys.METACELL], sort=True)
        return code, [str(name) for name in names]
    code = metacells.obs_names.get_indexer(adata.obs[_keys.METACELL].astype(object))
    if (code < 0).any():
        name = adata.obs[_keys.METACELL].iloc[int(np.argmax(code < 0))]
        raise InputError(
            f"The metacell {name!r} of the cells is not in the table of metacells: take both from the same model, at "
            "the same level (n)."
        )
    return code, [str(name) for name in metacells.obs_names]


def branches_of(metacells: AnnData) -> tuple[list[str], NDArray[np.bool_]]:
    """Names of the inner nodes but the root, and the metacells below each, ``(n_branches, n_metacells)``."""
    n = metacells.n_obs
    if len(metacells.uns.get(_keys.TREE, ())) != n - 1:
        raise InputError(
            f'The table has {n} metacells, but not as many in the tree of uns["{_keys.TREE}"]: give all that '
            "model.get_metacells() returned."
        )
    members = tree_members(np.asarray(metacells.uns[_keys.TREE]).reshape(-1, 4), n)[n:-1]
    return [f"node_{n + i}" for i in range(len(members))], members


def _table(
    counts: NDArray[np.integer], cohort: Cohort, kinds: list[tuple[str, list[str], NDArray[np.bool_]]], min_cells: int
) -> pd.DataFrame:
    """Test the metacells, then the branches, and list the results by condition."""
    tested = range(1, len(cohort.others) + 1)
    enough = counts.sum(axis=0) >= min_cells
    if not enough.any():
        raise InputError(f"No metacell has {min_cells} cells: lower min_cells, or use coarser metacells.")
    sizes = reference_sizes(counts[:, enough], cohort.design, tested)
    total = counts.sum(axis=1, keepdims=True)
    parts = []
    for kind, names, members in kinds:
        items = counts @ members.T.astype(np.int64)
        change = _tests(items, sizes, cohort.design, tested, min_cells)
        share = pd.DataFrame(items / total).groupby(cohort.condition.codes).mean().to_numpy()
        for i, condition in enumerate(cohort.others):
            columns: Mapping[str, Any] = {
                "group": np.asarray(names, dtype=object),
                "kind": np.full(len(names), kind, dtype=object),
                "condition": np.full(len(names), condition, dtype=object),
                "reference": np.full(len(names), cohort.reference, dtype=object),
                "n_metacells": members.sum(axis=1),
                "n_cells": items.sum(axis=0),
                "share": share[i + 1],
                "share_reference": share[0],
            }
            parts.append(pd.DataFrame({**columns, **{name: values[i] for name, values in change.items()}}))
    order = [part for i in range(len(cohort.others)) for part in parts[i :: len(cohort.others)]]
    return pd.concat(order, ignore_index=True)


def _tests(
    items: NDArray[np.integer],
    sizes: NDArray[np.float64],
    design: NDArray[np.float64],
    tested: Sequence[int],
    min_cells: int,
) -> dict[str, NDArray[np.float64]]:
    """Columns of the test, each ``(n_tested, n_items)``; missing for items with too few cells."""
    enough = items.sum(axis=0) >= min_cells
    names = ("logfoldchanges", "ci_low", "ci_high", "pvals", "pvals_adj")
    columns = {name: np.full((len(tested), len(enough)), np.nan) for name in names}
    if enough.any():
        changes = compare_counts(items[:, enough], sizes, design, tested)
        pvals = changes.pvalue
        found = (changes.estimate, *changes.interval(), pvals, false_discovery_control(pvals, axis=1))
        for name, values in zip(names, found, strict=True):
            columns[name][:, enough] = values
    return columns


def recorded(data: AnnData) -> Mapping[str, Any]:
    """What :func:`compare` recorded in cells or metacells; empty without it."""
    return data.uns.get(_keys.COMPARED) or _keys.record_of(data).get(_keys.COMPARE) or {}
