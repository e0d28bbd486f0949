from __future__ import annotations

import gc
import weakref

import lightning.pytorch as lightning
import numpy as np
import pytest
import torch
from anndata import AnnData

from scproto import _keys, pp
from scproto._errors import InputError
from scproto.data.memory import MemoryCells
from scproto.data.sampler import ViewSampler
from scproto.data.source import gene_share
from scproto.datasets import simulate_atlas
from scproto.model import SCPROTO
from scproto.nn import density_weights
from scproto.tl import assign_metacells

FEW_CELLS = "ignore:Category . in adata.obs.* has fewer than 3 cells"
"""The warning of scvi-tools about tiny batches."""


def test_cells_have_coordinates_and_lie_on_the_sphere(latent, sphere):
    assert latent.shape == (150, 8)
    assert sphere.shape == (150, 6)
    assert latent.dtype == sphere.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(sphere, axis=1), 1, rtol=1e-5)


def test_prototypes_lie_on_the_sphere(model):
    assert model.prototypes.shape == (10, 6)
    np.testing.assert_allclose(np.linalg.norm(model.prototypes, axis=1), 1, rtol=1e-5)


def test_same_seed_same_result(atlas, fit_small):
    first, again, other = (fit_small(atlas, max_steps=8, seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.get_latent_representation(), again.get_latent_representation())
    np.testing.assert_array_equal(first.prototypes, again.prototypes)
    np.testing.assert_array_equal(first.get_metacells().X, again.get_metacells().X)
    assert not np.array_equal(first.get_latent_representation(), other.get_latent_representation())


class Counted(lightning.Callback):
    """Record steps, epochs and batches as Lightning counts them."""

    def on_train_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        self.steps, self.epochs, self.batches = trainer.global_step, trainer.current_epoch, trainer.num_training_batches
        self.rate = pl_module.lr_schedulers().get_last_lr()[0]


def test_an_epoch_is_one_batch_of_many_steps(atlas):
    counted, adata = Counted(), atlas.copy()
    SCPROTO.setup_anndata(adata)
    model = SCPROTO(adata, n_prototypes=8, n_hidden=16)
    model.train(80, accelerator="cpu", early_stopping=False, enable_progress_bar=False, callbacks=[counted])
    assert (counted.steps, counted.epochs, counted.batches) == (80, 40, 1)
    assert counted.rate < 1e-5  # the schedule ran to its end, starting from 4e-3


def test_training_changes_neither_the_cells_nor_the_global_generator(atlas, fit_small):
    adata = atlas.copy()
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    fit_small(adata, max_steps=2)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert (adata.X != atlas.X).nnz == 0


@pytest.mark.parametrize(("rounded", "tolerance"), [(False, 1e-4), (True, 0.05)], ids=["float32", "bfloat16"])
def test_precision_and_layout_hardly_change_the_training(atlas, fit_small, monkeypatch, rounded, tolerance):
    """A few steps with dense input, in either precision, match those with sparse input in float32."""
    losses = []
    for in_bfloat16, dense_above in [(False, 1.0), (rounded, 0.0)]:
        monkeypatch.setattr("scproto.nn.matmul.multiplies_bfloat16", lambda _, answer=in_bfloat16: answer)
        monkeypatch.setattr("scproto.data.minibatch.DENSE_ABOVE", dense_above)
        model = fit_small(atlas, max_steps=8)
        losses.append(model.history["loss_reconstruction"]["loss_reconstruction"].to_numpy(float))
        assert np.isfinite(model.get_latent_representation()).all()
        assert all(parameter.dtype == torch.float32 for parameter in model.module.parameters())
    np.testing.assert_allclose(*losses, rtol=tolerance)


@pytest.mark.parametrize("n_decoded", [1, 7, 30, 60])
def test_decoding_some_genes_per_step(atlas, fit_small, monkeypatch, n_decoded):
    monkeypatch.setattr("scproto.data.sampler.DECODED_GENES", n_decoded)
    check_results(atlas.copy(), fit_small(atlas, max_steps=8))


def test_genes_are_decoded_in_order_of_abundance(atlas, fit_small, monkeypatch):
    seen = []

    def sampler(within, genes, *arguments, **keywords):
        seen.append(genes)
        return ViewSampler(within, genes, *arguments, **keywords)

    monkeypatch.setattr("scproto.model.training.ViewSampler", sampler)
    model = fit_small(atlas, max_steps=2)
    (genes,) = seen
    np.testing.assert_array_equal(np.sort(genes), np.arange(60))
    assert (np.diff(gene_share(model.cells())[genes]) >= 0).all()


def test_the_decoder_starts_at_the_gene_shares_and_a_second_training_continues(atlas, fit_small):
    model = fit_small(atlas, max_steps=1)
    bias, start = model.module.decoder.log_share.bias, np.log(gene_share(model.cells()))
    np.testing.assert_allclose(bias.detach().numpy(), start, atol=0.01)
    with torch.no_grad():
        bias += 1
    model.train(1, accelerator="cpu", enable_progress_bar=False, batch_size=32)
    np.testing.assert_allclose(bias.detach().numpy(), start + 1, atol=0.01)


def test_decoder_learns_shares_that_sum_nearly_to_one(model, sphere):
    for b in range(3):
        with torch.no_grad():
            total = model.module.decoder(torch.from_numpy(sphere), torch.full((150,), b)).exp().sum(1)
        assert 0.8 < total.min() <= total.max() < 1.25


def test_a_trained_model_holds_no_copy_of_the_cells(atlas, fit_small, monkeypatch):
    """The cells that training reads are as large as the counts, and the model may live long."""
    made = []

    def cells(model: SCPROTO) -> MemoryCells:
        made.append(weakref.ref(read := model.reader.read(model.adata)))
        return read

    monkeypatch.setattr(SCPROTO, "cells", cells)
    model = fit_small(atlas)
    gc.collect()
    assert len(made) == 1
    assert made[0]() is None
    assert model.is_trained_


def test_lightning_does_not_advise_workers(atlas, fit_small, monkeypatch):
    """On a machine with many cores it would warn, and warnings are errors here."""
    connector = "lightning.pytorch.trainer.connectors.data_connector.suggested_max_num_workers"
    asked = []
    monkeypatch.setattr(connector, lambda *_: asked.append(1) or 16)
    fit_small(atlas, max_steps=5)
    assert asked


def test_outputs_do_not_change_the_model(model, latent):
    model.get_metacells()
    model.get_normalized_expression()
    np.testing.assert_array_equal(model.get_latent_representation(), latent)


def test_the_embedding_of_a_cell_does_not_depend_on_other_cells(atlas, model, latent):
    some = np.arange(0, 150, 7)
    subset = atlas[some].copy()
    np.testing.assert_allclose(model.get_latent_representation(subset), latent[some], atol=1e-5)


def test_order_of_genes_and_further_genes_do_not_matter(atlas, model, latent):
    order = np.random.default_rng(0).permutation(atlas.n_vars)
    np.testing.assert_allclose(model.get_latent_representation(atlas[:, order].copy()), latent, atol=1e-6)
    only = atlas[:, atlas.var[_keys.GENES]].copy()
    np.testing.assert_allclose(model.get_latent_representation(only), latent, atol=1e-6)


def test_input_of_new_cells_is_checked(atlas, model):
    fewer, gene = atlas[:, atlas.var_names != model.reader.genes[5]].copy(), model.reader.genes[5]
    with pytest.raises(InputError, match=f"1 of the model's 60 genes are not in the cells, for example '{gene}'"):
        model.get_latent_representation(fewer)
    elsewhere = atlas.copy()
    elsewhere.obs["batch"] = "moon"
    with pytest.raises(InputError, match="not trained on batch 'moon'; it knows batch_0, batch_1, batch_2"):
        model.get_latent_representation(elsewhere)
    nowhere = atlas.copy()
    del nowhere.obs["batch"]
    with pytest.raises(InputError, match="no column 'batch' in obs"):
        model.get_latent_representation(nowhere)
    normalised = atlas.copy()
    normalised.X = np.log1p(atlas.X.toarray())
    with pytest.raises(InputError, match="raw counts"):
        model.get_latent_representation(normalised)
    twice = atlas.copy()
    twice.var_names = [twice.var_names[0], *twice.var_names[:-1]]
    with pytest.raises(InputError, match="several genes of the same name"):
        model.get_latent_representation(twice)


def test_new_cells_need_no_preparation(raw_atlas, model, latent):
    np.testing.assert_allclose(model.get_latent_representation(raw_atlas.copy()), latent, atol=1e-6)


def test_training_needs_the_neighbours(atlas):
    adata = atlas.copy()
    del adata.obsp[_keys.NEIGHBORS]
    SCPROTO.setup_anndata(adata)
    with pytest.raises(InputError, match="no neighbours"):
        SCPROTO(adata).train(1, accelerator="cpu", enable_progress_bar=False)


def check_results(adata: AnnData, model: SCPROTO) -> None:
    assign_metacells(adata, model)
    metacells = model.get_metacells()
    assert adata.obs[_keys.METACELL].cat.categories.tolist() == metacells.obs_names.tolist()
    assert np.isfinite(adata.obsm[_keys.LATENT]).all()
    assert np.isfinite(metacells.X).all()
    assert metacells.layers["counts"].sum() == pytest.approx(model.reader.counts(adata).matrix.sum())


def test_single_batch(fit_small):
    adata = simulate_atlas(60, 40, 1, 3, depth=200, seed=5)
    pp.prepare(adata)
    model = fit_small(adata, max_steps=6, n_prototypes=5)
    check_results(adata, model)
    assert (model.get_metacells().obs["batch_entropy"] == 1).all()
    assert model.reader.batches == ("all",)


def test_counts_in_a_layer_give_the_same_model(raw_atlas, atlas, fit_small):
    adata = raw_atlas.copy()
    adata.layers["counts"] = adata.X.copy()
    adata.X = np.zeros(adata.shape, np.float32)
    pp.prepare(adata, "batch", layer="counts", n_top_genes=60)
    model = fit_small(adata, max_steps=4)
    expected = fit_small(atlas, max_steps=4)
    np.testing.assert_array_equal(model.get_latent_representation(), expected.get_latent_representation())
    check_results(adata, model)


@pytest.mark.filterwarnings(FEW_CELLS)
def test_several_batch_keys_and_a_batch_of_two_cells(raw_atlas, fit_small):
    adata = raw_atlas.copy()
    adata.obs["day"] = np.where(np.arange(150) % 2, "even", "odd")
    adata.obs.loc[adata.obs_names[adata.obs["batch"] == "batch_2"][:2], "day"] = "feast"
    pp.prepare(adata, ["batch", "day"])
    model = fit_small(adata, max_steps=6)
    assert len(model.reader.batches) == 7
    assert "batch_2|feast" in model.reader.batches
    check_results(adata, model)


@pytest.mark.filterwarnings(FEW_CELLS)
@pytest.mark.parametrize("n_cells", [2, 5])
def test_very_few_cells(fit_small, n_cells):
    adata = simulate_atlas(n_cells, 30, 1, 2, depth=200, seed=1)
    pp.prepare(adata)
    check_results(adata, fit_small(adata, max_steps=2, n_prototypes="auto"))


def test_as_many_prototypes_as_cells(fit_small):
    adata = simulate_atlas(20, 30, 2, 2, depth=200, seed=1)
    pp.prepare(adata, "batch")
    check_results(adata, fit_small(adata, max_steps=4, n_prototypes=20))


@pytest.mark.parametrize("n_alignment", [0, 1, 20])
def test_rounds_of_alignment(atlas, fit_small, n_alignment):
    model = fit_small(atlas, max_steps=2, n_alignment=n_alignment)
    n_rounds = len(model.module.alignment_offsets)
    assert min(n_alignment, 2) <= n_rounds <= n_alignment
    assert len(model.module.alignment_prototypes) == n_rounds
    assert model.module.alignment_offsets.any() == (n_alignment > 0)
    assert np.isfinite(model.get_latent_representation()).all()


def test_prototypes_end_as_centres_of_the_aligned_cells_weighted_by_density(atlas, fit_small, monkeypatch):
    weights = []

    def weigh(unit, prototypes):
        weights.append(density_weights(unit, prototypes))
        return weights[-1]

    monkeypatch.setattr("scproto.model.placement.density_weights", weigh)
    model = fit_small(atlas, max_steps=8)
    unit, weight = model.get_latent_representation(sphere=True), weights[0].numpy()
    nearest = (unit @ model.prototypes.T).argmax(1)
    assert weight.std() > 0.01
    for k in np.unique(nearest):
        mean = weight[nearest == k] @ unit[nearest == k]
        np.testing.assert_allclose(model.prototypes[k], mean / np.linalg.norm(mean), atol=1e-4)
