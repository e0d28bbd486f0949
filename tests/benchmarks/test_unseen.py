from __future__ import annotations

import sys

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import unseen
from anndata import AnnData


@pytest.fixture
def cells() -> AnnData:
    """One batch of 200 cells with high counts, and labels in a column of another name."""
    rng = np.random.default_rng(0)
    obs = pd.DataFrame({"batch": "one", "label": rng.choice(["B", "T"], 200)}, index=[f"c{i}" for i in range(200)])
    return AnnData(sp.csr_matrix(rng.poisson(500, (200, 300)).astype(np.float32)), obs)


def test_counts_are_thinned_by_the_factors_of_batch_and_gene(cells):
    made = unseen.shifted(cells, 4, 0.5, 0, "label")
    counts, before = made.X.toarray(), cells.X.toarray()
    assert (counts == np.rint(counts)).all()
    assert (counts <= before).all()
    assert made.obs["cell_type"].tolist() == cells.obs["label"].tolist()
    assert made.obs["batch"].value_counts().tolist() == [50] * 4
    batch = made.obs["batch"].to_numpy()
    kept = np.array([counts[batch == one].sum(axis=0) / before[batch == one].sum(axis=0) for one in np.unique(batch)])
    np.testing.assert_allclose(kept.max(axis=0), 1)
    ratio = np.log(kept[0] / kept[1])
    assert ratio.std() == pytest.approx(0.5 * np.sqrt(2), rel=0.1)
    assert ratio.mean() == pytest.approx(0, abs=0.15)


def test_the_seed_decides_and_without_deviation_counts_stay(cells):
    first, same, other = (unseen.shifted(cells, 3, 0.5, seed, "label") for seed in (0, 0, 1))
    assert (first.X != same.X).nnz == 0
    assert (first.X != other.X).nnz > 0
    assert (first.obs["batch"] != other.obs["batch"]).any()
    assert (unseen.shifted(cells, 3, 0, 0, "label").X != cells.X).nnz == 0


def test_files_and_a_simulated_atlas_are_written(cells, tmp_path, monkeypatch):
    cells.write_h5ad(tmp_path / "lines.h5ad")
    given = [tmp_path, "simulated", "--out", tmp_path / "out", "--batches", 3, "--seed", 2, "--label-key", "label"]
    monkeypatch.setattr(unseen, "SIMULATED", unseen.SIMULATED | {"n_cells": 100, "n_genes": 50})
    monkeypatch.setattr(sys, "argv", ["unseen.py", *map(str, given)])
    unseen.main()
    for name, n_cells in {"lines": 200, "simulated": 100}.items():
        made = anndata.read_h5ad(tmp_path / "out" / f"{name}_3batches_sd0.5_seed2.h5ad")
        assert (made.n_obs, made.obs["batch"].nunique()) == (n_cells, 3)
        assert made.obs["cell_type"].notna().all()


@pytest.mark.parametrize(
    ("column", "options", "sentence"),
    [
        ("batch", ["--label-key", "label"], r"cells\.h5ad: .* already have batches"),
        ("other", [], r"cells\.h5ad: .* name the column of the labels"),
    ],
)
def test_bad_input_ends_in_one_sentence(cells, tmp_path, monkeypatch, column, options, sentence):
    cells.obs[column] = ["one", "two"] * 100
    cells.write_h5ad(tmp_path / "cells.h5ad")
    monkeypatch.setattr(sys, "argv", ["unseen.py", str(tmp_path), "--out", str(tmp_path / "out"), *options])
    with pytest.raises(SystemExit, match=sentence):
        unseen.main()
