from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from comparison.plots import draw
from comparison.tables import collect, markdown, summarise, versions

FAILED = "failed: MemoryError | too large"


def write(out, method, seed, *, status="ok", scores=None):
    folder = out / "runs" / "blood" / f"{method}_k9_seed{seed}"
    folder.mkdir(parents=True)
    record = {"data": "blood", "digest": "0", "method": method, "seed": seed, "n_prototypes": 9, "n_cells": 50}
    record |= {"n_genes": 20, "status": status, "seconds": 10.0 * (seed + 1), "cpu_seconds": 5.0 + seed}
    record |= {"peak_memory_mib": 100.0, "version": "1.0", "time_limit": 5.0, "threads": 1}
    record["versions"] = {method: "1.0"} if status == "ok" else {}
    (folder / "record.json").write_text(json.dumps(record))
    if scores:
        (folder / "scores.json").write_text(json.dumps(scores))


@pytest.fixture
def out(tmp_path):
    metacells = {"assigned": 1.0, "n_metacells": 9, "batch_entropy": 0.5}
    for seed in (0, 1):
        write(tmp_path, "scproto", seed, scores=metacells | {"purity": 0.8 + 0.1 * seed, "total": 0.6 + 0.1 * seed})
        write(tmp_path, "random", seed, scores=metacells | {"purity": 0.5})
    write(tmp_path, "metaq", 0, status=FAILED)
    write(tmp_path, "pca", 0, scores={"status": "not scored: NaN"})
    return tmp_path


def test_every_run_is_a_row(out):
    table = collect(out)
    assert list(table["method"]) == ["scproto", "scproto", "pca", "metaq", "random", "random"]
    assert list(table["seed"]) == [0, 1, 0, 0, 0, 1]
    assert table.set_index("method")["status"][["metaq", "pca"]].tolist() == [FAILED, "not scored: NaN"]
    assert list(table.columns[:5]) == ["data", "method", "n_prototypes", "seed", "status"]
    assert versions(out) == {"scproto": {"scproto": "1.0"}, "random": {"random": "1.0"}, "pca": {"pca": "1.0"}}


def test_means_and_deviations_are_over_the_seeds_that_went_well(out):
    summary = summarise(collect(out)).set_index("method")
    assert summary["n_seeds"].to_dict() == {"scproto": 2, "pca": 0, "metaq": 0, "random": 2}
    assert summary.loc["scproto", "total_mean"] == pytest.approx(0.65)
    assert summary.loc["scproto", "total_sd"] == pytest.approx(np.std([0.6, 0.7], ddof=1))
    assert summary.loc["random", "purity_mean"] == 0.5
    assert pd.isna(summary.loc["random", "total_mean"])
    assert pd.isna(summary.loc["metaq", "seconds_mean"])
    assert summary.loc["metaq", "status"] == FAILED


def test_the_table_to_read(out):
    lines = markdown(summarise(collect(out))).splitlines()
    assert lines[0] == "**blood**, 9 metacells asked for"
    assert len({line.count("|") for line in lines if line.startswith("|")}) == 1
    assert "| 0.650 ± 0.071 |" in next(line for line in lines if line.startswith("| scproto"))
    assert "failed: MemoryError / too large" in next(line for line in lines if line.startswith("| MetaQ"))


def test_each_data_set_is_drawn(out):
    draw(summarise(collect(out)), out / "plots")
    pictures = sorted(path.name for path in (out / "plots").iterdir())
    assert pictures == ["blood_k9_cost.png", "blood_k9_quality.png"]
    assert all((out / "plots" / name).read_bytes().startswith(b"\x89PNG") for name in pictures)
