from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from scproto._errors import InputError
from scproto.data.memory import MemoryCells
from scproto.data.minibatch import normalise
from scproto.metacells.assignment import assign
from scproto.metacells.tree import cut
from scproto.model import SCPROTO
from scproto.tl import attribute_prototype_genes
from scproto.tl import attribution as module
from scproto.tl.attribution import batch_baselines, draw_cells, mean_attributions

EVERY = 10**6
"""More cells than there are."""


class Fit:
    """The model, its cells, and the probabilities of their metacells."""

    def __init__(self, model: SCPROTO) -> None:
        self.model = model
        self.cells = model.cells()
        self.metacell = assign(model.get_latent_representation(sphere=True), model.prototypes).metacell
        self.x = normalise(self.cells.counts)
        self.baseline = batch_baselines(self.cells, 2)[0]

    def probability(self, x: np.ndarray, batch: np.ndarray) -> np.ndarray:
        """Probabilities of all prototypes for cells with these inputs, ``(n_cells, n_prototypes)``."""
        module = self.model.module
        with torch.no_grad():
            unit = module.alignment(module.encoder(torch.from_numpy(x), None), torch.from_numpy(batch)).numpy()
        score = np.exp(unit @ self.model.prototypes.T / 0.05)
        return score / score.sum(1, keepdims=True)

    def own(self, x: np.ndarray) -> np.ndarray:
        """Probability of each cell's own metacell, given other inputs."""
        return self.probability(x, self.cells.batch)[np.arange(len(x)), self.metacell]

    def drop(self, x: np.ndarray) -> float:
        """Mean drop of that probability with other inputs."""
        return float((self.own(self.x.toarray()) - self.own(x)).mean())

    def without(self, genes: np.ndarray) -> np.ndarray:
        """Inputs of the cells without the counts of their metacell's genes, given as ``(n_prototypes, n_removed)``."""
        counts = self.cells.counts.toarray()
        np.put_along_axis(counts, genes[self.metacell], 0, axis=1)
        return normalise(sparse.csr_matrix(counts)).toarray()

    def at_baseline(self, genes: np.ndarray) -> np.ndarray:
        """Inputs of the cells, with their metacell's genes set to the values of the average cell."""
        x, genes = self.x.toarray(), genes[self.metacell]
        average = np.take_along_axis(self.baseline[self.cells.batch], genes, axis=1)
        np.put_along_axis(x, genes, average, axis=1)
        return x


@pytest.fixture(scope="module")
def fit(model) -> Fit:
    return Fit(model)


@pytest.fixture(scope="module")
def table(model) -> pd.DataFrame:
    return attribute_prototype_genes(model, n_genes=None, n_cells=EVERY)


def naive(fit: Fit, cell: int, group: np.ndarray, n_steps: int) -> np.ndarray:
    """Attributions of a cell by gradients through the whole model, one step after the other."""
    network = fit.model.module
    batch = torch.tensor([fit.cells.batch[cell]])
    x = torch.from_numpy(fit.x[cell].toarray())
    baseline = torch.from_numpy(fit.baseline[fit.cells.batch[cell]])
    own = torch.from_numpy(group == group[fit.metacell[cell]])
    total = torch.zeros_like(x)
    for step in range(n_steps):
        point = (baseline + (step + 0.5) / n_steps * (x - baseline)).requires_grad_()
        unit = network.alignment(network.encoder(point, None), batch)
        probability = torch.softmax(unit @ network.unit_prototypes.T / 0.05, dim=1)[:, own].sum()
        total += torch.autograd.grad(probability.log(), point)[0]
    return ((x - baseline) * total / n_steps).numpy().ravel()


@pytest.mark.parametrize("n", [None, 3])
def test_mean_over_the_cells_equals_a_loop(model, fit, n, monkeypatch):
    monkeypatch.setattr(module, "CHUNK", 7)
    monkeypatch.setattr("scproto.nn.matmul.trains", lambda _: False)  # the loop asks for gradients
    group = cut(model.prototypes, n).group
    cells = np.arange(0, fit.cells.n_cells, 20)
    found = mean_attributions(
        model.module, fit.x[cells], fit.cells.batch[cells], group[fit.metacell[cells]], group, fit.baseline, 5
    )
    assert found.shape == (group.max() + 1, len(model.gene_names))
    for metacell in range(len(found)):
        members = [cell for cell in cells if group[fit.metacell[cell]] == metacell]
        expected = np.mean([naive(fit, cell, group, 5) for cell in members], axis=0) if members else 0
        np.testing.assert_allclose(found[metacell], expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("n_steps", [50, 500])
@pytest.mark.parametrize("n", [None, 2])
def test_attributions_sum_to_the_difference_of_the_log_probabilities(model, fit, n, n_steps):
    table = attribute_prototype_genes(model, n=n, n_genes=None, n_cells=EVERY, n_steps=n_steps)
    level = cut(model.prototypes, n)
    member = np.eye(level.group.max() + 1)[level.group]  # (n_prototypes, n_metacells)
    own = level.group[fit.metacell]
    here = fit.probability(fit.x.toarray(), fit.cells.batch) @ member
    there = (fit.probability(fit.baseline, np.arange(2)) @ member)[fit.cells.batch]
    difference = np.log(here / there)[np.arange(len(own)), own]
    total = table.groupby("group", observed=True)["attributions"].sum()
    # few steps are coarse where gains and losses of several nats nearly cancel
    error = 0.03 * np.abs(difference).max() if n_steps == 50 else 1e-4
    for i, name in enumerate(level.names):
        assert total[name] == pytest.approx(difference[own == i].mean(), rel=0.03, abs=error)


def test_every_gene_occurs_once_and_the_strongest_come_first(model, table):
    assert len(table) == len(model.prototypes) * len(model.gene_names)
    assert not table.duplicated(["group", "names"]).any()
    for (_, evidence), lines in table.groupby(["group", "evidence"], observed=True):
        assert lines["rank"].tolist() == list(range(1, len(lines) + 1))
        assert lines["attributions"].is_monotonic_decreasing
        assert ((lines["inputs"] > lines["inputs_baseline"]) == (evidence == "expressed")).all()
    few = attribute_prototype_genes(model, n_genes=3, n_cells=EVERY)
    pd.testing.assert_frame_equal(few, table[table["rank"] <= 3].reset_index(drop=True))


def test_inputs_are_means_of_the_cells(model, fit, table):
    lines = table[table["group"] == "metacell_2"].set_index("names").loc[model.gene_names]
    cells = fit.metacell == 2
    np.testing.assert_allclose(lines["inputs"], fit.x[cells].toarray().mean(0), atol=1e-6)
    np.testing.assert_allclose(lines["inputs_baseline"], fit.baseline[fit.cells.batch[cells]].mean(0), atol=1e-6)


def top(table: pd.DataFrame, model: SCPROTO, n: int) -> np.ndarray:
    """Columns of the genes with the largest attribution, ``(n_prototypes, n)``."""
    best = table.sort_values("attributions", ascending=False).groupby("group", observed=True).head(n)
    best = best.groupby("group", observed=True)["names"].agg(list)
    columns = pd.Index(model.gene_names)
    return np.array([columns.get_indexer(best[name]) for name in model.metacell_names])


def random_genes(model: SCPROTO, n: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.array([rng.permutation(len(model.gene_names))[:n] for _ in model.prototypes])


def test_deleting_the_expressed_genes_lowers_the_probability(model, fit, table):
    """Deleting the top fifteenth of the genes moves the cells away; deleting random genes does not."""
    genes = top(table[table["evidence"] == "expressed"], model, 10)
    chance = [fit.drop(fit.without(random_genes(model, 10, seed))) for seed in range(5)]
    assert fit.drop(fit.without(genes)) > max(0.1, 2 * max(chance))


def test_setting_the_strongest_genes_to_the_baseline_lowers_the_probability(model, fit, table):
    genes = top(table, model, 20)
    chance = [fit.drop(fit.at_baseline(random_genes(model, 20, seed))) for seed in range(5)]
    assert fit.drop(fit.at_baseline(genes)) > max(0.1, 2 * max(chance))


def test_expressed_and_lacking_genes_are_those_of_the_type(atlas, metacells, table):
    profile, share = atlas.varm["type_profile"], atlas.obs["cell_type"].value_counts(normalize=True)
    for name, kind in metacells.obs["cell_type"].items():
        rest = sum(profile[other] * share[other] for other in profile if other != kind) / (1 - share[kind])
        change = np.log2(profile[kind] / rest)
        lines = table[(table["group"] == name) & (table["rank"] <= 10)]
        assert change[lines.loc[lines["evidence"] == "expressed", "names"]].mean() > 0.5
        assert change[lines.loc[lines["evidence"] == "lacking", "names"]].mean() < -0.5


def test_a_sample_of_the_cells_is_enough(model, table):
    key = ["group", "names"]
    few, again, other = (
        attribute_prototype_genes(model, n_genes=None, n_cells=20, seed=seed).set_index(key)["attributions"]
        for seed in (0, 0, 1)
    )
    pd.testing.assert_series_equal(few, again)
    assert not few.equals(other)
    every = table.set_index(key)["attributions"]
    for name in every.index.levels[0]:
        assert np.corrcoef(few[name][every[name].index], every[name])[0, 1] > 0.6


@given(st.lists(st.integers(0, 4), max_size=40), st.integers(1, 10), st.integers(0, 9))
def test_cells_are_drawn_from_each_metacell(metacell, n_cells, seed):
    metacell = np.array(metacell, dtype=np.int64)
    drawn = draw_cells(metacell, n_cells, np.random.default_rng(seed))
    assert len(set(drawn)) == len(drawn)
    assert (np.diff(metacell[drawn]) >= 0).all()
    size = np.bincount(metacell, minlength=5)
    np.testing.assert_array_equal(np.bincount(metacell[drawn], minlength=5), np.minimum(size, n_cells))


def test_baselines_are_means_of_unit_norm():
    counts = np.random.default_rng(0).poisson(1.0, (7, 5)).astype(np.float32)
    counts[3] = 0
    counts, batch = sparse.csr_matrix(counts), np.array([0, 2, 0, 2, 2, 0, 0])
    found, counted = batch_baselines(MemoryCells(counts, batch), 3)
    for b in (0, 2):
        mean = normalise(counts).toarray()[batch == b].mean(0)
        np.testing.assert_allclose(found[b], mean / np.linalg.norm(mean), rtol=1e-5)
    assert (found[1] == 0).all()  # a batch without cells
    assert counted.tolist() == [0, 1, 2, 4, 5, 6]


def test_cells_without_counts_are_left_out(model, fit, monkeypatch):
    counts = fit.cells.counts.toarray()
    counts[np.flatnonzero(fit.metacell == 0)[:5]] = 0
    counts = sparse.csr_matrix(counts)
    cells = MemoryCells(counts, fit.cells.batch)
    monkeypatch.setattr(model, "cells", lambda adata=None: cells)
    table = attribute_prototype_genes(model, n_genes=None, n_cells=EVERY)
    assert np.isfinite(table["attributions"]).all()
    metacell = assign(model.embed(cells), model.prototypes).metacell
    kept = (metacell == 0) & (np.diff(counts.indptr) > 0)
    lines = table[table["group"] == "metacell_0"].set_index("names").loc[model.gene_names]
    np.testing.assert_allclose(lines["inputs"], normalise(counts)[kept].toarray().mean(0), atol=1e-6)


def test_a_metacell_without_cells_has_no_lines(atlas, model):
    some = atlas[atlas.obs["cell_type"].isin(["type_0", "type_1"])].copy()
    names = model.get_metacells(some).obs_names
    assert len(names) < len(model.prototypes)
    assert attribute_prototype_genes(model, some)["group"].cat.categories.tolist() == names.tolist()


@pytest.mark.parametrize("cells", [slice(None), slice(1)])
def test_no_gene_matters_for_a_single_metacell(atlas, model, cells):
    table = attribute_prototype_genes(model, atlas[cells].copy(), n=1, n_genes=None)
    np.testing.assert_allclose(table["attributions"], 0, atol=1e-5)


def test_cells_of_one_batch_give_finite_attributions(atlas, model):
    table = attribute_prototype_genes(model, atlas[atlas.obs["batch"] == "batch_1"].copy())
    assert np.isfinite(table["attributions"]).all()


def test_the_model_stays_unchanged(model):
    def snapshot() -> list[torch.Tensor]:
        parameters = model.module.parameters()
        return [*(v.clone() for v in model.module.state_dict().values()), *(p.grad.clone() for p in parameters)]

    for parameter in model.module.parameters():
        parameter.grad = torch.zeros_like(parameter)
    before = snapshot()
    model.module.train()
    attribute_prototype_genes(model, n_cells=2, n_steps=2)
    assert model.module.training
    assert model.module.encoder.training
    model.module.eval()
    assert all(map(torch.equal, before, snapshot()))
    assert all(parameter.requires_grad for parameter in model.module.parameters())


@pytest.mark.parametrize("name", ["n_genes", "n_cells", "n_steps"])
def test_numbers_out_of_range_are_refused(model, name):
    with pytest.raises(InputError, match=f"{name}=0"):
        attribute_prototype_genes(model, **{name: 0})


def test_an_untrained_model_is_refused(atlas):
    SCPROTO.setup_anndata(atlas)
    with pytest.raises(InputError, match="not trained"):
        attribute_prototype_genes(SCPROTO(atlas, n_prototypes=2))
