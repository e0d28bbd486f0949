"""Counts of an AnnData object: what is mended and what is refused."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pytest
from scipy import sparse

from scproto._errors import InputError
from scproto.inputs import read_counts


def with_antibodies(adata, kind="Antibody Capture"):
    """Add four features that are not genes to the same cells."""
    more = ad.AnnData(sparse.csr_matrix(np.full((adata.n_obs, 4), 900, np.float32)), obs=adata.obs[[]])
    more.var_names = [f"protein_{i}" for i in range(4)]
    both = ad.concat([more, adata], axis=1)
    both.obs = adata.obs.copy()
    both.var["feature_types"] = [kind] * 4 + ["Gene Expression"] * adata.n_vars
    return both


def test_whole_counts_pass_unchanged(tiny_atlas):
    counts = read_counts(tiny_atlas)
    assert np.shares_memory(counts.matrix.data, tiny_atlas.X.data)
    assert counts.notices == ()
    assert counts.genes.all()


def test_small_errors_are_rounded_with_a_notice(tiny_atlas):
    expected = tiny_atlas.X.copy()
    tiny_atlas.X.data = np.expm1(np.log1p(tiny_atlas.X.data)) + np.float32(1e-4)
    before = tiny_atlas.X.copy()
    counts = read_counts(tiny_atlas)
    assert (counts.matrix != expected).nnz == 0
    assert (before != tiny_atlas.X).nnz == 0
    [notice] = counts.notices
    assert "rounded" in notice


def test_fractional_counts_are_refused_with_a_remedy_and_rounded_on_request(tiny_atlas):
    tiny_atlas.X.data *= np.random.default_rng(0).uniform(0.7, 1, tiny_atlas.X.nnz).astype(np.float32)
    with pytest.raises(InputError, match=r"fractional counts.*--round-counts"):
        read_counts(tiny_atlas)
    counts = read_counts(tiny_atlas, rounding=3)
    assert (counts.matrix.data == np.rint(counts.matrix.data)).all()
    assert counts.values.whole
    assert any("with the seed 3" in notice for notice in counts.notices)


def test_message_points_to_whole_counts_beside_fractional_ones(tiny_atlas):
    tiny_atlas.layers["counts"] = tiny_atlas.X.copy()
    tiny_atlas.X.data = tiny_atlas.X.data * 0.77 + np.float32(0.1)
    with pytest.raises(InputError, match='use layer="counts"'):
        read_counts(tiny_atlas)


@pytest.mark.parametrize("change", [np.log1p, lambda x: x / 7, lambda x: -x], ids=["logs", "scaled", "negative"])
def test_rounding_does_not_accept_other_values(tiny_atlas, change):
    tiny_atlas.X.data = change(tiny_atlas.X.data)
    with pytest.raises(InputError, match="needs raw counts"):
        read_counts(tiny_atlas, rounding=0)


@pytest.mark.parametrize("kind", ["Antibody Capture", "Peaks", "CRISPR Guide Capture"])
def test_features_that_are_not_genes_are_left_out_with_a_notice(tiny_atlas, kind):
    counts = read_counts(with_antibodies(tiny_atlas, kind))
    assert (counts.matrix != tiny_atlas.X).nnz == 0
    assert counts.genes.sum() == tiny_atlas.n_vars
    [notice] = counts.notices
    assert f"4 of {tiny_atlas.n_vars + 4} features are not genes ({kind})" in notice


def test_features_without_genes_are_refused(tiny_atlas):
    tiny_atlas.var["feature_types"] = "Peaks"
    with pytest.raises(InputError, match="has no genes"):
        read_counts(tiny_atlas)


def test_features_of_unknown_or_missing_type_are_genes(tiny_atlas):
    tiny_atlas.var["feature_types"] = [np.nan, "protein_coding"] + ["Gene Expression"] * (tiny_atlas.n_vars - 2)
    assert read_counts(tiny_atlas).genes.all()


def test_antibodies_change_nothing_in_the_fit(tiny_atlas):
    import scproto

    found = []
    for cells in (tiny_atlas, with_antibodies(tiny_atlas)):
        scproto.pp.prepare(cells, "batch")
        scproto.SCPROTO.setup_anndata(cells)
        model = scproto.SCPROTO(cells, n_prototypes=5)
        model.train(max_steps=4, enable_progress_bar=False)
        found.append((model.get_latent_representation(), model.get_metacells()))
    (first, plain), (second, cite) = found
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(plain.X, cite.X)
    assert list(plain.var_names) == list(cite.var_names)
