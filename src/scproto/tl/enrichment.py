"""Over-representation of gene sets among the genes of a metacell."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np
import pandas as pd
from scipy.stats import false_discovery_control

from .._errors import InputError
from .contrast import categories, check_number

KEYS = ("group", "reference", "evidence")
"""Columns that identify a list of genes in a table."""

COLUMNS = ["gene_set", "n_overlap", "n_set", "log_odds_ratio", "pvals", "genes"]
"""Columns of the result for each list and set."""


def enrich_prototype_genes(
    genes: pd.DataFrame,
    gene_sets: Mapping[str, Iterable[str]] | pd.DataFrame,
    background: Iterable[str],
    *,
    min_genes: int = 5,
) -> pd.DataFrame:
    """Test gene sets for over-representation among the top genes of metacells, or of the sides of a split.

    Each list of genes is tested against each set with a one-sided Fisher's exact test, by
    :func:`decoupler.mt.query_set`, which comes with ``pip install "scproto[explain]"``. Nothing is downloaded.

    The background is all genes that could have been in a list. A model knows a few thousand genes, chosen because they
    vary; against the whole genome, everything that varies would seem enriched. The test assumes independent genes, but
    the genes of one program are not independent. Use the p-values only as a ranking.

    Parameters
    ----------
    genes
        Table from :func:`rank_prototype_genes`, :func:`rank_split_genes`, :func:`rank_axis_genes` or
        :func:`attribute_prototype_genes`. All lines are used, so first select those that you trust, for example
        ``genes[genes["logfoldchanges"] > 1]``.
    gene_sets
        Genes of each set by the name of the set, or a data frame with columns ``source`` (the set) and ``target`` (the
        gene), as in decoupler.
    background
        The genes that were ranked, ``model.gene_names``.
    min_genes
        Minimum number of genes that a set shares with the background; smaller sets are left out.

    Returns
    -------
    table : pandas.DataFrame
        One line per list and set that have a gene in common, sorted by p-value within each list: ``group``,
        ``reference`` or ``evidence`` as in ``genes``, ``gene_set``, ``n_overlap``, ``n_set`` (genes of the set in the
        background), ``log_odds_ratio`` (natural log, with half a gene added to each cell of the contingency table),
        ``pvals``, ``pvals_adj`` (Benjamini-Hochberg over all lists and sets) and ``genes`` (those in common).

    Raises
    ------
    InputError
        If a column is missing, a ranked gene is not in the background, no set has enough genes, or ``min_genes`` is out
        of range.
    ImportError
        If decoupler is not installed.

    References
    ----------
    Badia-i-Mompel et al., Bioinformatics Advances 2022 (decoupler).
    """
    check_number("min_genes", min_genes)
    known = set(_as_list(background))
    keys = [key for key in KEYS if key in genes]
    if "group" not in keys or "names" not in genes:
        raise InputError(
            'The table of genes needs the columns "group" and "names": take it from scproto.tl.rank_prototype_genes.'
        )
    if unknown := sorted(set(genes["names"]) - known):
        raise InputError(
            f"{len(unknown)} ranked genes are not in the background, such as {unknown[0]!r}: give all genes that were "
            "ranked (model.gene_names) as the background."
        )
    sets = known_sets(gene_sets, known, min_genes)
    lists = genes.groupby(keys, observed=True, sort=False)["names"]
    found = [
        query_list(set(names), sets, len(known)).assign(**dict(zip(keys, key, strict=True))) for key, names in lists
    ]
    found = [table for table in found if len(table)] or [pd.DataFrame(columns=[*keys, *COLUMNS])]
    table = pd.concat(found, ignore_index=True)
    untested = len(lists) * sets["source"].nunique() - len(table)  # no gene in common: the p-value is one
    adjusted = false_discovery_control(np.append(table["pvals"].to_numpy(float), np.ones(untested)))
    table["pvals_adj"] = adjusted[: len(table)]
    return categories(table[[*keys, *COLUMNS[:-1], "pvals_adj", COLUMNS[-1]]], keys)


def known_sets(gene_sets: Mapping[str, Iterable[str]] | pd.DataFrame, known: set[str], min_genes: int) -> pd.DataFrame:
    """Unique pairs of a set (``source``) and a known gene (``target``), for sets with enough known genes."""
    if isinstance(gene_sets, pd.DataFrame):
        if absent := {"source", "target"} - set(gene_sets):
            raise InputError(
                f"The gene sets have no column {min(absent)!r}: give source (the set) and target (the gene)."
            )
        sets = gene_sets[["source", "target"]]
    else:
        pairs = [(name, gene) for name, genes in gene_sets.items() for gene in _as_list(genes)]
        sets = pd.DataFrame(pairs, columns=["source", "target"])
    sets = sets[sets["target"].isin(known)].astype(str).drop_duplicates(ignore_index=True)
    sets = sets[sets.groupby("source")["target"].transform("size") >= min_genes]
    if sets.empty:
        raise InputError(
            f"No gene set has {min_genes} of the {len(known)} genes of the background: use the gene names of the "
            "cells, or lower min_genes."
        )
    return sets


def _as_list(names: str | Iterable[str]) -> list[str]:
    return [names] if isinstance(names, str) else list(names)


def query_list(features: set[str], sets: pd.DataFrame, n_background: int) -> pd.DataFrame:
    """Fisher's exact test of a list of genes against each set that shares a gene with it, sorted by p-value."""
    query_set = _query_set()
    shared = sets[sets["target"].isin(features)].groupby("source")["target"]
    table = pd.DataFrame({"n_overlap": shared.size(), "genes": shared.agg(", ".join)}).rename_axis("gene_set")
    if table.empty:
        return table
    table["n_set"] = sets["source"].value_counts().reindex(table.index)
    found = query_set(sorted(features), sets[sets["source"].isin(table.index)], n_bg=n_background, tmin=1)
    found = found.set_index("source").reindex(table.index)
    table = table.assign(log_odds_ratio=found["stat"], pvals=found["pval"])
    return table.sort_values("pvals", kind="stable").reset_index()[COLUMNS]


def _query_set() -> Callable[..., pd.DataFrame]:
    try:
        from decoupler.mt import query_set
    except ImportError as error:
        raise ImportError('Over-representation needs decoupler: pip install "scproto[explain]".') from error
    return query_set
