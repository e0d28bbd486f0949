from __future__ import annotations

import sys

import ablation
import pandas as pd
import pytest


def call(folder, *options: str) -> None:
    always = ["--out", folder / "rows.csv", "--summary", folder / "summary.csv"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["ablation.py", *map(str, always), *options])
        patch.setattr(ablation, "integration", lambda *_: {"total": 0.5, "bio": 0.5, "batch": 0.5})
        ablation.main()


def test_rows_are_computed_once_and_summarised_with_their_commit(tiny_atlas, tmp_path, capsys, monkeypatch):
    tiny_atlas.write_h5ad(tmp_path / "atlas.h5ad")
    old = {"variant": "gone", "data": "atlas", "n_prototypes": 9, "max_steps": "40", "seeds": 3, "commit": "0123456"}
    pd.DataFrame([old]).to_csv(tmp_path / "summary.csv", index=False)
    requested = [str(tmp_path / "atlas.h5ad"), "--n-prototypes", "9", "--max-steps", "40", "--seeds", "0", "1"]
    call(tmp_path, *requested, "--variants", "default", "half the steps")
    rows = pd.read_csv(tmp_path / "rows.csv")
    assert rows[["variant", "seed"]].to_numpy().tolist() == [
        ["default", 0], ["half the steps", 0], ["default", 1], ["half the steps", 1],
    ]  # fmt: skip
    summary = pd.read_csv(tmp_path / "summary.csv", dtype={"commit": str})
    assert summary["variant"].tolist() == ["gone", "default", "half the steps"]
    assert summary["seeds"].tolist() == [3, 2, 2]
    assert summary["commit"][0] == "0123456"
    assert "**atlas**, 9 prototypes, 40 steps" in capsys.readouterr().out
    monkeypatch.setattr(ablation, "fit", lambda *_, **__: pytest.fail("computed again"))
    call(tmp_path, *requested, "--variants", "default", "half the steps")
    assert len(pd.read_csv(tmp_path / "rows.csv")) == 4
    assert len(pd.read_csv(tmp_path / "summary.csv")) == 3
    assert "| half the steps | 0.500 ± 0.000 |" in capsys.readouterr().out
