from __future__ import annotations

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from scproto.inputs.genes import VAR_NAMES, gene_names, match_genes, plain


def var(names, **columns):
    return pd.DataFrame(columns, index=pd.Index(names, dtype=object))


def test_names_are_matched_in_any_order():
    match = match_genes(gene_names(var(["C", "A", "X"])), {VAR_NAMES: ("A", "B", "C")})
    assert match.gene.tolist() == [2, 0, -1]
    assert match.present.tolist() == [True, False, True]
    assert (match.theirs, match.ours, match.n_summed) == (VAR_NAMES, VAR_NAMES, 0)


def test_symbols_are_found_in_a_column():
    query = var(["ENSG1", "ENSG2"], feature_name=["B", "A"])
    match = match_genes(gene_names(query), {VAR_NAMES: ("A", "B")})
    assert match.gene.tolist() == [1, 0]
    assert match.theirs == "feature_name"


def test_ids_of_the_reference_are_used_if_the_query_has_only_ids():
    ours = {VAR_NAMES: ("A", "B"), "gene_ids": ("ENSG00000000001", "ENSG00000000002")}
    match = match_genes(gene_names(var(["ENSG00000000002.7", "ENSG00000000001.12"])), ours)
    assert match.gene.tolist() == [1, 0]
    assert (match.theirs, match.ours) == (VAR_NAMES, "gene_ids")


def test_only_ensembl_ids_lose_a_version():
    assert plain(["ENSG00000000001.3", "ENSMUSG00000000001.10", "RP11-34.1", "A"]) == (
        "ENSG00000000001",
        "ENSMUSG00000000001",
        "RP11-34.1",
        "A",
    )


def test_var_names_come_first_if_a_column_matches_as_many():
    match = match_genes(gene_names(var(["A", "B"], gene_symbols=["A", "B"])), {VAR_NAMES: ("A", "B")})
    assert match.theirs == VAR_NAMES


def test_nothing_in_common_is_an_empty_match():
    match = match_genes(gene_names(var(["x"])), {VAR_NAMES: ("A",)})
    assert not match.present.any()
    assert match.select(sparse.csr_matrix([[5.0]])).toarray().tolist() == [[0.0]]


@given(st.integers(0, 2**32 - 1))
def test_selection_sums_genes_of_the_same_name_like_a_loop(seed):
    rng = np.random.default_rng(seed)
    counts = rng.poisson(0.7, (5, 12))
    ours = [f"g{i}" for i in range(6)]
    theirs = [f"g{i}" for i in rng.integers(0, 9, 12)]
    match = match_genes({VAR_NAMES: tuple(theirs)}, {VAR_NAMES: tuple(ours)})
    expected = np.zeros((5, 6))
    for column, name in enumerate(theirs):
        if name in ours:
            expected[:, ours.index(name)] += counts[:, column]
    found = match.select(sparse.csr_matrix(counts.astype(np.float32)))
    np.testing.assert_array_equal(found.toarray(), expected)
    assert found.has_sorted_indices or found.nnz == 0
    assert match.n_summed == sum(theirs.count(name) > 1 for name in theirs if name in ours)
