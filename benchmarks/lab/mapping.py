"""The contract of the scripts that map a query onto a reference and transfer its labels.

    python PEER.py REFERENCE.h5ad QUERY.h5ad --seed 0 --out result.npz

REFERENCE holds counts in ``X`` and ``obs`` columns ``batch`` and ``cell_type``. QUERY holds the counts of one other
batch, named in ``obs["batch"]``. It may lack genes of the reference and has no labels. The result holds

- ``labels``: the names of the labels, ``(n_labels,)``;
- ``probability``: the probability of each label, ``(n_query, n_labels)``;
- ``unknown``: a score that is higher the less a cell has any label of the reference, ``(n_query,)``;
- ``sets``, optional: whether a label is in the set of labels of a cell, ``(n_query, n_labels)``;
- ``embedding`` and ``reference_embedding``, optional: the query and the reference in one space;
- ``seconds_fit`` and ``seconds_map``: the time without imports and files; and ``versions``.

This file imports no library of its own: the scripts use it in environments without scproto.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from .contract import Arrays, read_h5ad, write

N_GENES, N_DIMS, N_NEIGHBOURS = 2000, 50, 15


def run(fit: Callable[[Any, int], Any], transfer: Callable[[Any, Any], Arrays]) -> None:
    """Call ``fit(reference, seed)``, then `transfer` with what it returned and the query; write the result."""
    parser = argparse.ArgumentParser()
    parser.add_argument("reference", type=Path)
    parser.add_argument("query", type=Path)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    out = given.out.resolve()  # a method may change the working directory
    reference, query = read_h5ad(given.reference), read_h5ad(given.query)
    start = perf_counter()
    model = fit(reference, given.seed)
    fitted = perf_counter()
    found = transfer(model, query)
    write(out, found | {"seconds_fit": fitted - start, "seconds_map": perf_counter() - fitted})


def log1p_cp10k(adata: Any) -> Any:
    """Return a copy with log1p CP10k in ``X``."""
    import scanpy as sc

    normalised = adata.copy()
    sc.pp.normalize_total(normalised, target_sum=1e4)
    sc.pp.log1p(normalised)
    return normalised


def variable_genes(reference: Any) -> Any:
    """Return the names of the genes that are highly variable within the batches of log1p CP10k."""
    import scanpy as sc

    table = sc.pp.highly_variable_genes(reference, n_top_genes=N_GENES, batch_key="batch", inplace=False)
    return reference.var_names[table["highly_variable"].to_numpy()]


def with_genes(adata: Any, genes: Any) -> Any:
    """Return the cells with these genes in this order, and zeros for those that they lack."""
    import anndata
    import pandas as pd
    from scipy import sparse

    index = adata.var_names.get_indexer(genes)
    chosen = sparse.csr_matrix((index >= 0).astype(adata.X.dtype))
    matrix = sparse.csr_matrix(adata.X)[:, np.maximum(index, 0)].multiply(chosen).tocsr()
    return anndata.AnnData(matrix, adata.obs.copy(), pd.DataFrame(index=pd.Index(genes)))


def by_probability(labels: Any, probability: np.ndarray, **others: Any) -> Arrays:
    """Return the arrays to write; a cell is the more unknown, the less probable its label is."""
    probability = np.asarray(probability)
    names = np.asarray(labels, dtype=str)
    return {"labels": names, "probability": probability, "unknown": 1 - probability.max(axis=1), **others}


def by_neighbours(reference: np.ndarray, labels: Any, query: np.ndarray) -> Arrays:
    """Let the nearest cells of the reference vote on the label of each cell of the query."""
    from sklearn.neighbors import KNeighborsClassifier

    votes = KNeighborsClassifier(N_NEIGHBOURS).fit(reference, np.asarray(labels, dtype=str))
    probability = votes.predict_proba(query)
    return by_probability(votes.classes_, probability, embedding=query, reference_embedding=reference)
