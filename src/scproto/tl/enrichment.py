"""Gene sets that are over-represented among the genes of a metacell."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np
import pandas as pd
from scipy.stats import false_discovery_control

from .._errors import InputError
from .contrast import categories, check_number

KEYS = ("group", "reference", "evidence")
"""Columns that tell the lists of genes in a table apart."""

COLUMNS = ["gene_set", "n_overlap", "n_set", "log_odds_ratio", "pvals", "genes"]
"""What is said of a list and a set."""


def enrich_prototype_genes(
    genes: pd.DataFrame,
    gene_sets: Mapping[str, Iterable[str]] | pd.DataFrame,
    background: Iterable[str],
    *,
    min_genes: int = 5,
) -> pd.DataFrame:
    """Over-representation of gene sets among the top genes of metacells, or of sides of a split.

    One-sided Fisher's exact test of each list of genes with each set, by :func:`decoupler.mt.query_set`, which comes
    with ``pip install "scproto[explain]"``. Nothing is downloaded.

    The background are the genes that could have been in a list. A model knows a few thousand genes that were chosen
    because they vary; against the whole genome everything that varies would seem enriched. The test takes genes as
    independent, which those of one program are not: read the p-values as a ranking.

    Parameters
    ----------
    genes
        Table of :func:`rank_prototype_genes`, :func:`rank_split_genes` or :func:`attribute_prototype_genes`. All of its
        lines are taken: choose those that you trust first, for example ``genes[genes["logfoldchanges"] > 1]``.
    gene_sets
        Genes of each set by its name, or a data frame with columns ``source`` (the set) and ``target`` (the gene), as
        decoupler has them.
    background
        ``model.gene_names``: the genes that were ranked.
    min_genes
        Genes of the background that a set must have; smaller ones are left out.

    Returns
    -------
    One line for each list and each set that shares a gene with it, the smallest p-value of each list first: ``group``,
    ``reference`` or ``evidence`` as in ``genes``, ``gene_set``, ``n_overlap``, ``n_set`` (genes of the set in the
    background), ``log_odds_ratio`` (natural log, half a gene added to each cell of the table), ``pvals``, ``pvals_adj``
    (Benjamini-Hochberg over all lists and sets) and ``genes`` (those in common).

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
            'The table of genes needs columns "group" and "names", as scproto.tl.rank_prototype_genes gives them.'
        )
    if unknown := sorted(set(genes["names"]) - known):
        raise InputError(
            f"{len(unknown)} ranked genes are not in the background, {unknown[0]!r} for one: give all genes that were "
            "ranked, model.gene_names."
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
    """Pairs of a set (``source``) and a known gene (``target``), each once, of the sets with enough of them."""
    if isinstance(gene_sets, pd.DataFrame):
        if absent := {"source", "target"} - set(gene_sets):
            raise InputError(f"The gene sets have no column {min(absent)!r}: source is the set, target the gene.")
        sets = gene_sets[["source", "target"]]
    else:
        pairs = [(name, gene) for name, genes in gene_sets.items() for gene in _as_list(genes)]
        sets = pd.DataFrame(pairs, columns=["source", "target"])
    sets = sets[sets["target"].isin(known)].astype(str).drop_duplicates(ignore_index=True)
    sets = sets[sets.groupby("source")["target"].transform("size") >= min_genes]
    if sets.empty:
        raise InputError(
            f"No gene set has {min_genes} of the {len(known)} genes of the background: name the genes as in the cells, "
            "or lower min_genes."
        )
    return sets


def _as_list(names: str | Iterable[str]) -> list[str]:
    return [names] if isinstance(names, str) else list(names)


def query_list(features: set[str], sets: pd.DataFrame, n_background: int) -> pd.DataFrame:
    """Fisher's exact test of a list of genes with each set that shares one with it, the smallest p-value first."""
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
