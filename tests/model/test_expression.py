from __future__ import annotations

import importlib

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from scproto._errors import InputError
from scproto.metacells.gamma_poisson import expected_log1p

module = importlib.import_module("scproto.model.denoiser")


@pytest.fixture(scope="module")
def expression(model):
    return model.get_normalized_expression()


def test_all_genes_of_the_model(atlas, model, expression):
    assert expression.index.equals(atlas.obs_names)
    assert expression.columns.tolist() == list(model.reader.genes)
    np.testing.assert_allclose(expression.sum(axis=1), 1e4, rtol=1e-4)
    assert (expression.to_numpy() >= 0).all()


def test_some_genes_in_the_requested_order(model, expression):
    genes = [model.reader.genes[i] for i in (7, 0, 33)]
    some = model.get_normalized_expression(gene_list=genes)
    np.testing.assert_array_equal(some.to_numpy(), expression[genes].to_numpy())
    assert some.columns.tolist() == genes


def test_average_over_the_batches(model):
    prior = {"posterior": False}
    expression = model.get_normalized_expression(**prior)
    by_batch = [model.get_normalized_expression(transform_batch=b, **prior).to_numpy() for b in model.reader.batches]
    assert not np.allclose(by_batch[0], by_batch[1], rtol=1e-3)
    np.testing.assert_allclose(np.mean(by_batch, axis=0), expression.to_numpy(), rtol=1e-4)


def test_library_size_scales(model, expression):
    np.testing.assert_allclose(model.get_normalized_expression(library_size=1), expression / 1e4, rtol=1e-5)


@pytest.mark.parametrize("genes", [None, slice(3, 9)])
def test_sparse_and_dense_agree_above_the_threshold(model, expression, genes):
    names = None if genes is None else list(model.reader.genes[genes])
    dense = expression.to_numpy() if genes is None else expression[names].to_numpy()
    threshold = float(np.median(dense))
    found = model.get_normalized_expression(gene_list=names, sparse_below=threshold)
    assert sparse.isspmatrix_csr(found)
    assert 0 < found.nnz < dense.size
    np.testing.assert_array_equal(found.toarray(), np.where(dense < threshold, 0, dense))


@pytest.mark.parametrize("sparse_below", [None, 50.0])
def test_chunks_do_not_matter(model, monkeypatch, sparse_below):
    whole = model.get_normalized_expression(sparse_below=sparse_below)
    monkeypatch.setattr(module, "CHUNK", 16)
    parts = model.get_normalized_expression(sparse_below=sparse_below)
    assert parts.shape == whole.shape
    whole, parts = (x.toarray() if sparse.issparse(x) else x.to_numpy() for x in (whole, parts))
    np.testing.assert_allclose(parts, whole, rtol=1e-4)


def test_other_cells(atlas, model, expression):
    some = model.get_normalized_expression(atlas[10:30].copy())
    np.testing.assert_allclose(some, expression.iloc[10:30], rtol=1e-3)
    assert some.index.equals(atlas.obs_names[10:30])


def test_unknown_gene_or_batch(model):
    with pytest.raises(InputError, match="Gene 'XYZ' is not among the 60 genes"):
        model.get_normalized_expression(gene_list=[model.reader.genes[0], "XYZ"])
    with pytest.raises(InputError, match="no batch 'moon'"):
        model.get_normalized_expression(transform_batch="moon")


def test_own_batch_is_the_batch_of_each_cell(model, expression):
    own = model.get_normalized_expression(own_batch=True)
    batch = model.reader.batch_of(model.adata)
    for name in model.reader.batches:
        as_batch = model.get_normalized_expression(transform_batch=name)
        np.testing.assert_allclose(own[batch == name], as_batch[batch == name], rtol=1e-4)
    assert not np.allclose(own, expression, rtol=1e-3)


def test_prototype_is_the_same_for_all_cells_of_a_metacell(model, sphere):
    found = model.get_normalized_expression(level="prototype", posterior=False).to_numpy()
    nearest = (sphere @ model.prototypes.T).argmax(1)
    decoded = model._decode(model.prototypes) * 1e4
    np.testing.assert_allclose(found, decoded[nearest], rtol=1e-4)


def test_mixture_weights_prototypes_by_their_probability(model, sphere):
    found = model.get_normalized_expression(level="mixture", posterior=False).to_numpy()
    weight = np.exp(sphere @ model.prototypes.T / 0.05)
    weight /= weight.sum(1, keepdims=True)
    np.testing.assert_allclose(found, weight @ model._decode(model.prototypes) * 1e4, rtol=1e-3)


@pytest.mark.parametrize("level", ["cell", "prototype", "mixture"])
@pytest.mark.parametrize("batch", [None, "own", "batch_2"])
def test_posterior_equals_the_naive_loop(model, level, batch):
    arguments = {"own_batch": True} if batch == "own" else {"transform_batch": batch}
    found = model.get_normalized_expression(level=level, posterior=True, library_size=1, **arguments).to_numpy()
    prior = {"level": level, "posterior": False, "library_size": 1}
    target = model.get_normalized_expression(**prior, **arguments).to_numpy()
    own = model.get_normalized_expression(**prior, own_batch=True).to_numpy()
    counts = model.cells().counts.toarray()
    theta = model.module.theta_of_levels[module.LEVELS.index(level)].numpy()
    for i in (0, 77, 149):
        share = np.zeros(len(theta))
        for j in range(len(theta)):
            share[j] = target[i, j] * (theta[j] + counts[i, j]) / (theta[j] + own[i, j] * counts[i].sum())
        np.testing.assert_allclose(found[i], share / share.sum(), rtol=1e-3)
    np.testing.assert_allclose(found.sum(1), 1, rtol=1e-4)


def test_counts_vary_more_around_a_prototype_than_around_the_cell(model):
    cell, prototype, _ = np.log(model.module.theta_of_levels.numpy()).mean(1)
    assert cell > prototype


def test_by_default_the_cell_is_decoded_and_updated_by_its_counts(model, expression):
    pd.testing.assert_frame_equal(expression, model.get_normalized_expression(level="cell", posterior=True))


@pytest.mark.parametrize("posterior", [False, True])
def test_expected_log1p_at_the_depth_of_the_cell(model, posterior):
    arguments = {"own_batch": True, "posterior": posterior, "level": "prototype"}
    found = model.get_normalized_expression(log1p=True, **arguments).to_numpy()
    share = model.get_normalized_expression(library_size=1, **arguments).to_numpy()
    counts = model.cells().counts.toarray()
    theta = model.module.theta_of_levels[module.LEVELS.index("prototype")].numpy() + (counts if posterior else 0)
    depth = counts.sum(1, keepdims=True)
    np.testing.assert_allclose(found, expected_log1p(share * depth, theta, 1e4 / depth), rtol=1e-3)
    assert (found <= np.log1p(share * 1e4) * (1 + 1e-4)).all()


def test_a_cell_without_counts_has_the_prior_shares(model, atlas):
    empty = atlas[:3].copy()
    empty.X = sparse.csr_matrix(sparse.diags([1.0, 0.0, 1.0]) @ empty.X)
    found = model.get_normalized_expression(empty, posterior=True, log1p=True).to_numpy()
    assert np.isfinite(found).all()
    np.testing.assert_allclose(model.get_normalized_expression(empty, posterior=True).sum(axis=1), 1e4, rtol=1e-4)


def test_auto_uses_the_recorded_choice(model, atlas):
    cells = atlas.copy()
    with pytest.raises(InputError, match="no recorded choice"):
        model.get_normalized_expression(cells, level="auto")
    cells.uns["scproto"]["denoising"] = {"level": "mixture", "posterior": True}
    auto = model.get_normalized_expression(cells, level="auto")
    named = model.get_normalized_expression(level="mixture", posterior=True)
    np.testing.assert_allclose(auto, named, rtol=1e-4)
    without = model.get_normalized_expression(cells, level="auto", posterior=False)
    prior = model.get_normalized_expression(level="mixture", posterior=False)
    np.testing.assert_allclose(without, prior, rtol=1e-4)


def test_unknown_level_or_two_batches(model):
    with pytest.raises(InputError, match="level='tissue' does not work: give one of auto, cell, prototype, mixture"):
        model.get_normalized_expression(level="tissue")
    with pytest.raises(InputError, match="Give either own_batch or transform_batch='batch_1', not both"):
        model.get_normalized_expression(own_batch=True, transform_batch="batch_1")


def test_one_gene_by_its_name(model, expression):
    one = model.reader.genes[7]
    pd.testing.assert_frame_equal(model.get_normalized_expression(gene_list=one), expression[[one]])
