"""What tells expression profiles apart: arrays in, arrays or a table out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from .._errors import InputError

Floats = NDArray[np.floating]

N_SIBLINGS = 5
"""Nearest metacells that a metacell is compared with."""

PSEUDOCOUNT = 1.0
"""Counts per 10,000 that both sides of a fold change get."""


def cp10k(counts: sp.csr_matrix, genes: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Counts per 10,000 of all genes, of some of them, ``(n_rows, n_chosen)``; a row without counts stays zero.

    Parameters
    ----------
    counts
        ``(n_rows, n_genes)``.
    genes
        Genes to return, mask ``(n_genes,)``.
    """
    total = np.maximum(np.asarray(counts.sum(1), dtype=np.float64), 1.0)  # (n_rows, 1)
    return counts[:, genes].toarray() * (1e4 / total)


def members_of(rows: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Mask ``(n_groups, n_groups)`` of the rows of each group, given by their numbers, ``(n_groups, n_members)``."""
    mask = np.zeros((len(rows), len(rows)), dtype=bool)
    np.put_along_axis(mask, rows, True, axis=1)
    return mask


def weighted_means(values: Floats, weight: NDArray[np.integer], member: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Mean of the rows of each group, weighted, ``(n_groups, n_columns)``.

    Parameters
    ----------
    values
        ``(n_rows, n_columns)``.
    weight
        Weight of each row, for example its number of cells, ``(n_rows,)``.
    member
        Rows of each group, ``(n_groups, n_rows)``; they may overlap. Each has a row of positive weight.
    """
    share = member * np.asarray(weight, dtype=np.float64)
    return share / share.sum(1, keepdims=True) @ values


def log2_fold_change(values: Floats, reference: Floats, pseudocount: float) -> NDArray[np.float64]:
    """``log2((values + pseudocount) / (reference + pseudocount))``, of any shape."""
    return np.log2((values + pseudocount) / (reference + pseudocount))


def top_genes(
    score: Floats,
    genes: Sequence[str] | pd.Index,
    rows: pd.DataFrame,
    columns: Mapping[str, Floats],
    n_genes: int | None,
) -> pd.DataFrame:
    """Genes of the highest score, as a tidy table: one line for each gene of each row.

    Parameters
    ----------
    score
        ``(n_rows, n_genes)``; a gene of score NaN is left out.
    genes
        Their names, ``(n_genes,)``.
    rows
        What tells the rows apart, ``n_rows`` lines; its columns come first.
    columns
        What else to say of a gene, each ``(n_rows, n_genes)``.
    n_genes
        Genes a row; None for all.

    Returns
    -------
    Columns of ``rows``, ``rank`` (from 1), ``names`` and those of ``columns``.
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
    """Tables of the same groups under each other, sorted by group, the order of groups and tables kept."""
    table = pd.concat(tables, ignore_index=True)
    return table.iloc[np.argsort(pd.factorize(table["group"])[0], kind="stable")].reset_index(drop=True)


def categories(table: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """Table whose columns of repeated words are categories, in the order in which they come."""
    return table.astype({name: pd.CategoricalDtype(table[name].unique()) for name in columns})


def check_number(name: str, value: int | None, *, none: bool = False) -> None:
    """Refuse what is no whole number of at least one, or None where that means all.

    Raises
    ------
    InputError
        With the name and the value.
    """
    if none and value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        or_all = ", or None for all" if none else ""
        raise InputError(f"{name}={value!r} is no number to work with: choose a whole number from 1{or_all}.")


def check_pseudocount(pseudocount: float) -> None:
    """Refuse a pseudocount with which the fold change of an absent gene is infinite.

    Raises
    ------
    InputError
        If it is not positive and finite.
    """
    if not 0 < pseudocount < np.inf:
        raise InputError(f"pseudocount={pseudocount!r} leaves ratios of zero: choose a positive number, in CP10k.")
