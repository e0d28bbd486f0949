"""Differences between expression profiles: arrays in, arrays or a table out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from .._errors import InputError

Floats = NDArray[np.floating]

N_SIBLINGS = 5
"""Number of nearest metacells that a metacell is compared with."""

PSEUDOCOUNT = 1.0
"""Counts per 10,000 that are added to both sides of a fold change."""


def cp10k(counts: sp.csr_matrix, genes: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Scale each row to 10,000 counts over all genes and return some of the genes; a row without counts stays zero.

    Parameters
    ----------
    counts
        Counts ``(n_rows, n_genes)``.
    genes
        Genes to return, mask ``(n_genes,)``.

    Returns
    -------
    values : numpy.ndarray
        CP10k of the chosen genes, ``(n_rows, n_chosen)``.
    """
    total = np.maximum(np.asarray(counts.sum(1), dtype=np.float64), 1.0)  # (n_rows, 1)
    return counts[:, genes].toarray() * (1e4 / total)


def members_of(rows: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Turn the indices of each group's members, ``(n_groups, n_members)``, into a mask ``(n_groups, n_groups)``."""
    mask = np.zeros((len(rows), len(rows)), dtype=bool)
    np.put_along_axis(mask, rows, True, axis=1)
    return mask


def weighted_means(values: Floats, weight: NDArray[np.integer], member: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Weighted mean of the rows of each group.

    Parameters
    ----------
    values
        Values ``(n_rows, n_columns)``.
    weight
        Weight of each row, for example its number of cells, ``(n_rows,)``.
    member
        Mask of the rows of each group, ``(n_groups, n_rows)``. Groups may overlap, and each has at least one row with
        a positive weight.

    Returns
    -------
    means : numpy.ndarray
        Weighted means, ``(n_groups, n_columns)``.
    """
    share = member * np.asarray(weight, dtype=np.float64)
    return share / share.sum(1, keepdims=True) @ values


def log2_fold_change(values: Floats, reference: Floats, pseudocount: float) -> NDArray[np.float64]:
    """``log2((values + pseudocount) / (reference + pseudocount))``, for arrays of any shape."""
    return np.log2((values + pseudocount) / (reference + pseudocount))


def top_genes(
    score: Floats,
    genes: Sequence[str] | pd.Index,
    rows: pd.DataFrame,
    columns: Mapping[str, Floats],
    n_genes: int | None,
) -> pd.DataFrame:
    """Genes with the highest scores as a tidy table, with one line per row of the scores and gene.

    Parameters
    ----------
    score
        Scores ``(n_rows, n_genes)``; a gene with the score NaN is left out.
    genes
        Names of the genes, ``(n_genes,)``.
    rows
        Columns that identify the rows, ``n_rows`` lines; they come first in the table.
    columns
        Further columns by name, each ``(n_rows, n_genes)``.
    n_genes
        Number of genes per row; None for all.

    Returns
    -------
    table : pandas.DataFrame
        The columns of ``rows``, ``rank`` (from 1), ``names``, and the columns of ``columns``.
    """
    order = np.argsort(-score, axis=1, kind="stable")[:, :n_genes]  # NaN goes last
    kept = ~np.isnan(np.take_along_axis(score, order, axis=1))
    row, place = np.nonzero(kept)
    gene = order[kept]
    table = rows.iloc[row].reset_index(drop=True)
    table["rank"] = place + 1
    table["names"] = np.asarray(genes, dtype=object)[gene]
    for name, values in columns.items():
        table[name] = values[row, gene]
    return table


def join(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Concatenate tables and sort them by group, keeping the order of the groups and of the tables."""
    table = pd.concat(tables, ignore_index=True)
    return table.iloc[np.argsort(pd.factorize(table["group"])[0], kind="stable")].reset_index(drop=True)


def categories(table: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """Make columns of repeated words categorical, with the categories in order of appearance."""
    return table.astype({name: pd.CategoricalDtype(table[name].unique()) for name in columns})


def check_number(name: str, value: int | None, *, none: bool = False) -> None:
    """Refuse anything but a whole number of at least one, or None where `none` allows it.

    Raises
    ------
    InputError
        If the value is neither; the message has the name and the value.
    """
    if none and value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        or_all = ", or None for all" if none else ""
        raise InputError(f"{name}={value!r} does not work: give a whole number of at least 1{or_all}.")


def check_pseudocount(pseudocount: float) -> None:
    """Refuse a pseudocount with which the fold change of an absent gene is infinite.

    Raises
    ------
    InputError
        If the pseudocount is not positive and finite.
    """
    if not 0 < pseudocount < np.inf:
        raise InputError(f"pseudocount={pseudocount!r} does not work: give a positive number, in CP10k.")
