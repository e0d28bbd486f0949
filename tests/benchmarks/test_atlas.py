from __future__ import annotations

import sys

import atlas
import numpy as np
import pandas as pd
import pytest


def test_explained_is_the_share_of_the_variance_between_metacells_of_a_type():
    types, metacell = np.repeat(["B", "T"], 4), np.array(["0", "0", "1", "1"] * 2)
    between = np.array([-1.0, -1, 1, 1, 9, 9, 11, 11])[:, None]
    assert atlas.explained(between, types, metacell) == 1
    assert atlas.explained(between + np.tile([-1.0, 1], 4)[:, None], types, metacell) == pytest.approx(0.5)
    assert atlas.explained(between, types, types) == 0


def test_random_metacells_mix_the_donors_as_much_as_pure_ones_can():
    adata = atlas.simulate_atlas(600, 20, 3, 2, n_programmes=1, n_studies=3, trajectory=False, rare_fraction=0.5)
    adata.obs["metacell"] = adata.obs["batch"].astype(str) + adata.obs["cell_type"].astype(str)
    found = atlas.mixing(adata, np.random.default_rng(0))
    assert (found["purity"], found["donor_entropy"], found["study_entropy"]) == (1, 0, 0)
    assert found["donor_entropy_random"] == found["study_entropy_random"] > 0.95


def test_activities_are_found_in_exact_profiles():
    adata = atlas.simulate_atlas(400, 60, 2, 2, n_programmes=2, n_studies=1, trajectory=False, rare_fraction=0.5)
    adata.obs["metacell"] = adata.obs_names
    types = adata.obs["cell_type"].cat.codes.to_numpy()
    effect = np.einsum("gcp,cp->cg", adata.varm["programme_loading"][:, types], adata.obsm["programme"])
    adata.layers["decoded"] = adata.varm["type_profile"].to_numpy().T[types] * np.exp(effect) * 1e4
    assert atlas.decoded(adata, adata) > 0.99
    assert np.isnan(atlas.decoded(adata, adata[:4]))


def test_rows_are_computed_once(tmp_path, monkeypatch, capsys):
    size = {"cells": 400, "genes": 100, "batches": 4, "studies": 2, "types": 3, "programmes": 1}
    given = [text for name, n in size.items() for text in (f"--n-{name}", str(n))]
    given += ["--n-prototypes", "9", "12", "--passes", "30", "--seeds", "0", "--out", str(tmp_path / "rows.csv")]
    monkeypatch.setattr(sys, "argv", ["atlas.py", *given])
    atlas.main()
    rows = pd.read_csv(tmp_path / "rows.csv")
    assert rows["n_prototypes"].tolist() == [9, 12]
    assert rows["epochs"].tolist() == [23, 23]  # 47 steps
    assert rows.notna().all().all()
    assert "**400 cells, 100 genes, 4 batches, 2 studies, 3 types, 1 programmes**" in capsys.readouterr().out
    monkeypatch.setattr(atlas, "fit", lambda *_, **__: pytest.fail("computed again"))
    atlas.main()
    assert len(pd.read_csv(tmp_path / "rows.csv")) == 2
