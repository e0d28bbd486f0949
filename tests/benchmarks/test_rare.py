from __future__ import annotations

import sys

import numpy as np
import pandas as pd
import pytest
import rare
from lab.runs import Run


def test_each_rare_type_is_the_nearest_relative_of_a_common_one():
    atlas = rare.simulate(6000, 0)
    counts = pd.crosstab(atlas.obs["cell_type"], atlas.obs["batch"])
    size = atlas.obs.groupby("cell_type", observed=True)["size"].first()
    for i, name in enumerate(counts.index):
        assert size[name] == (rare.COMMON if i % 2 == 0 else list(rare.SHARES)[i // 2 // rare.N_EACH])
        share = rare.SHARES.get(size[name], (1 - rare.N_EACH * sum(rare.SHARES.values())) / len(counts) * 2)
        assert counts.loc[name].sum() == pytest.approx(6000 * share, abs=4 * (i % 2 == 0))
        assert counts.loc[name].max() - counts.loc[name].min() <= 1
    assert counts.sum().tolist() == [1500] * 4
    profiles = np.log(atlas.varm["type_profile"].to_numpy().T)
    distances = ((profiles[:, None] - profiles) ** 2).sum(axis=2)
    np.fill_diagonal(distances, np.inf)
    assert (distances.argmin(axis=1) == np.arange(len(size)) ^ 1).mean() > 0.8  # with few genes, chance decides some


def test_recall_is_that_of_a_loop_and_cells_without_a_metacell_are_missed():
    rng = np.random.default_rng(0)
    cells = rare.simulate(4000, 1).obs.sample(1500, random_state=0)
    cells = pd.concat([cells, cells[cells["size"] != rare.COMMON]])
    cells.index = [f"c{i}" for i in range(len(cells))]
    own = cells["cell_type"].cat.codes.to_numpy()
    assignment = np.where(rng.random(len(cells)) < 0.4, own, rng.integers(-1, 40, len(cells)))
    found = rare.score(assignment, cells)
    labels, sizes, recalls = cells["cell_type"].astype(str).tolist(), dict(zip(own, cells["size"], strict=True)), {}
    for name in set(labels):
        hits = []
        for label, metacell in zip(labels, assignment, strict=True):
            if label == name:
                members = [other for other, one in zip(labels, assignment, strict=True) if one == metacell]
                leader = max(sorted(set(members)), key=members.count)
                hits.append(metacell >= 0 and leader == name)
        recalls.setdefault(sizes[int(name.removeprefix("type_"))], []).append(np.mean(hits))
    assert {f"recall {size}": pytest.approx(np.mean(values)) for size, values in recalls.items()} == {
        name: value for name, value in found.items() if name.startswith("recall")
    }
    assert 0 < found["recall 0.5 %"] < 1
    assert found["assigned"] == pytest.approx((assignment >= 0).mean())


def test_every_seed_has_its_atlas_and_the_table_its_curve(tmp_path, monkeypatch, capsys):
    given = ["--out", tmp_path, "--n-cells", 2000, "--seeds", 0, 1, "--methods", "random"]
    monkeypatch.setattr(sys, "argv", ["rare.py", *map(str, given)])
    rare.main()
    table = pd.read_csv(tmp_path / "scores.csv")
    assert table["data"].tolist() == ["2000 cells"] * 2
    assert len(list((tmp_path / "atlases").iterdir())) == 2
    assert (table["status"] == "ok").all()
    summary = pd.read_csv(tmp_path / "summary.csv")
    assert summary["seeds"].tolist() == [2]
    assert summary["recall common_mean"][0] == pytest.approx(table["recall common"].mean())
    printed = capsys.readouterr().out
    assert "| method | 0.05 % | 0.1 % | 0.2 % | 0.5 % | common | purity | entropy |" in printed
    assert rare.markdown(summary) in printed
    monkeypatch.setattr(Run, "compute", lambda *_: pytest.fail("computed again"))
    rare.main()
