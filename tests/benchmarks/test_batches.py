from __future__ import annotations

import sys

import anndata
import batches
import numpy as np
import pandas as pd
import pytest
from lab.runs import Run


def test_batches_are_cut_into_parts_of_about_equal_size():
    whole = np.repeat(["large", "tiny"], [103, 3]).astype(object)
    parts = batches.parts_of(whole, 4, seed=0)
    sizes = pd.Series(parts).groupby([whole, parts]).size()
    assert sorted(sizes["large"]) == [25, 26, 26, 26]
    assert sorted(sizes["tiny"]) == [1, 1, 1]
    assert (parts == batches.parts_of(whole, 4, seed=0)).all()
    assert (parts != batches.parts_of(whole, 4, seed=1)).any()


def test_changes_are_those_of_the_same_seed_and_method():
    rows = [("a", 1, 0, 0.5), ("a", 4, 0, 0.4), ("a", 1, 1, 0.7), ("a", 4, 1, 0.4), ("b", 1, 0, 0.2), ("b", 4, 0, 0.3)]
    table = pd.DataFrame(rows, columns=["method", "parts", "seed", "total"])
    found = batches.changes(table.assign(data="x", n_prototypes=9, status="ok")).set_index("method")
    assert found["total_mean"].to_dict() == pytest.approx({"a": -0.2, "b": 0.1})
    assert found["seeds"].to_dict() == {"a": 2, "b": 1}


def test_methods_get_the_parts_and_scores_use_the_batches(tiny_atlas, tmp_path, monkeypatch, capsys):
    tiny_atlas.write_h5ad(tmp_path / "atlas.h5ad")
    scored = []
    monkeypatch.setattr(batches, "score", lambda found, cells: scored.append(set(cells.obs["batch"])) or {"total": 0.5})
    given = [tmp_path / "atlas.h5ad", "--out", tmp_path / "out", "--parts", "2", "--seeds", "0"]
    given += ["--n-prototypes", "9", "--methods", "random"]
    monkeypatch.setattr(sys, "argv", ["batches.py", *map(str, given)])
    batches.main()
    assert scored == [set(tiny_atlas.obs["batch"])] * 2
    cut = anndata.read_h5ad(tmp_path / "out" / "inputs" / "atlas_2parts_seed0.h5ad")
    assert cut.obs["batch"].nunique() == 2 * tiny_atlas.obs["batch"].nunique()
    assert pd.read_csv(tmp_path / "out" / "scores.csv")["parts"].tolist() == [1, 2]
    assert pd.read_csv(tmp_path / "out" / "changes.csv")["total_mean"].tolist() == [0]
    assert "| total, random | 0.500 | 0.000 |" in capsys.readouterr().out
    monkeypatch.setattr(Run, "compute", lambda *_: pytest.fail("computed again"))
    batches.main()
