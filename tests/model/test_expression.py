from __future__ import annotations

import importlib

import numpy as np
import pytest
from scipy import sparse

from scproto._errors import InputError

module = importlib.import_module("scproto.model.outputs")


@pytest.fixture(scope="module")
def expression(model):
    return model.get_normalized_expression()


def test_all_genes_of_the_model(atlas, model, expression):
    assert expression.index.equals(atlas.obs_names)
    assert expression.columns.tolist() == list(model.reader.genes)
    np.testing.assert_allclose(expression.sum(axis=1), 1e4, rtol=1e-4)
    assert (expression.to_numpy() >= 0).all()


def test_some_genes_in_the_order_asked_for(model, expression):
    genes = [model.reader.genes[i] for i in (7, 0, 33)]
    some = model.get_normalized_expression(gene_list=genes)
    np.testing.assert_array_equal(some.to_numpy(), expression[genes].to_numpy())
    assert some.columns.tolist() == genes


def test_average_over_the_batches(model, expression):
    by_batch = [model.get_normalized_expression(transform_batch=b).to_numpy() for b in model.reader.batches]
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
