from __future__ import annotations

import numpy as np
import pytest

from scproto import _keys, pp
from scproto._errors import InputError
from scproto.model import SCPROTO


@pytest.mark.parametrize("lost", ["obs", "var", "uns"])
def test_cells_must_be_prepared(atlas, lost):
    adata = atlas.copy()
    name = {"obs": _keys.BATCH, "var": _keys.GENES, "uns": _keys.UNS}[lost]
    del getattr(adata, lost)[name]
    with pytest.raises(InputError, match=r"not prepared; run scproto\.pp\.prepare"):
        SCPROTO.setup_anndata(adata)


def test_batch_key_must_be_that_of_prepare(atlas):
    with pytest.raises(InputError, match=r"batch_key='cell_type', but prepare got \['batch'\]"):
        SCPROTO.setup_anndata(atlas.copy(), batch_key="cell_type")


@pytest.mark.parametrize("batch_key", ["batch", ["batch"], None])
def test_batch_key_in_any_form(atlas, batch_key):
    adata = atlas.copy()
    SCPROTO.setup_anndata(adata, batch_key=batch_key)
    assert SCPROTO(adata).reader.batch_key == ("batch",)


def test_layer_must_exist(atlas):
    with pytest.raises(ValueError, match="nothing"):
        SCPROTO.setup_anndata(atlas.copy(), layer="nothing")


@pytest.mark.parametrize("given", [None, "counts"], ids=["from_prepare", "by_name"])
def test_layer_of_prepare_is_taken(raw_atlas, given):
    adata = raw_atlas.copy()
    adata.layers["counts"] = adata.X.copy()
    adata.X = np.log1p(adata.X.toarray())
    pp.prepare(adata, "batch", layer="counts")
    SCPROTO.setup_anndata(adata, layer=given)
    model = SCPROTO(adata)
    assert model.reader.layer == "counts"
    np.testing.assert_array_equal(model.cells().counts.toarray(), adata.layers["counts"].toarray())


@pytest.mark.parametrize(("highest", "dtype"), [(255, np.uint8), (256, np.uint16), (70_000, np.uint32)])
def test_counts_are_held_in_the_smallest_type(atlas, highest, dtype):
    adata = atlas.copy()
    adata.X = np.minimum(adata.X.toarray(), 100)
    adata.X[0, np.flatnonzero(adata.var["scproto_gene"])[0]] = highest
    SCPROTO.setup_anndata(adata)
    counts = SCPROTO(adata).cells().counts
    assert counts.dtype == dtype
    np.testing.assert_array_equal(counts.toarray(), adata.X[:, adata.var["scproto_gene"]])


@pytest.fixture
def registered(atlas):
    adata = atlas.copy()
    SCPROTO.setup_anndata(adata)
    return adata


@pytest.mark.parametrize(("n_prototypes", "expected"), [("auto", 10), (1, 1), (150, 150)])
def test_number_of_prototypes(registered, n_prototypes, expected):
    model = SCPROTO(registered, n_prototypes=n_prototypes)
    assert model.prototypes.shape == (expected, 16)
    np.testing.assert_allclose(np.linalg.norm(model.prototypes, axis=1), 1, rtol=1e-5)
    assert model.metacell_names[-1] == f"metacell_{expected - 1}"


@pytest.mark.parametrize(("n_cells", "expected"), [(4, 4), (10, 10), (700, 10), (1500, 20), (10**7, 1000)])
def test_auto_takes_one_for_75_cells(n_cells, expected):
    from scproto.inputs import choose_n_prototypes

    assert choose_n_prototypes("auto", n_cells) == expected


@pytest.mark.parametrize("n_prototypes", [0, -3, 151, 2.5, "Auto", None, True, float("nan")])
def test_impossible_number_of_prototypes(registered, n_prototypes):
    with pytest.raises(InputError, match='give a whole number from 1 to 150, or "auto"'):
        SCPROTO(registered, n_prototypes=n_prototypes)


def test_model_knows_genes_and_batches(registered, capsys):
    model = SCPROTO(registered)
    assert model.reader.genes == tuple(registered.var_names[registered.var[_keys.GENES]])
    assert model.reader.batches == ("batch_0", "batch_1", "batch_2")
    repr(model)  # scvi-tools prints it
    assert "10 prototypes, 3 batches, 60 genes" in capsys.readouterr().out


def test_seed_decides_on_the_weights_and_leaves_the_global_generator_alone(registered):
    import torch

    torch.manual_seed(11)
    before = torch.random.get_rng_state()
    first, again, other = (SCPROTO(registered, seed=seed).prototypes for seed in (0, 0, 1))
    assert torch.equal(torch.random.get_rng_state(), before)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_untrained_model_gives_no_results(registered):
    model = SCPROTO(registered)
    for ask in (model.get_latent_representation, model.get_metacells, model.get_normalized_expression):
        with pytest.raises(InputError, match="not trained"):
            ask()
