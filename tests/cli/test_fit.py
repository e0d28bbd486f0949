"""The command ``scproto fit`` around a stand-in for the model: files, messages, exit codes."""

from __future__ import annotations

import json

import pytest
from anndata import read_h5ad

from scproto import _run, _versions

RUN = ["cells.h5ad", "metacells.h5ad", "model", "report.html", "run.json"]


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.usefixtures("fake_model")
def test_writes_the_run_folder_and_says_what_it_holds(cli, cells_file, tmp_path):
    out = tmp_path / "run"
    result = cli("fit", cells_file, "--batch-key", "lab", "--label-key", "cell_type", "--out", out)
    assert result.exit_code == 0, result.output
    assert names(out) == RUN
    assert names(tmp_path) == ["cells.h5ad", "run"]
    for name in RUN:
        assert str(out / name) in result.stdout
    assert "24 cells of 2 batches in 3 metacells" in result.stdout
    assert "well mixed" in result.stdout
    assert "Reading" in result.stderr
    assert "Reading" not in result.stdout


@pytest.mark.usefixtures("fake_model")
def test_run_json_records_what_was_asked_and_done(cli, cells_file, tmp_path):
    out = tmp_path / "run"
    options = ["--batch-key", "lab", "--batch-key", "day", "--label-key", "cell_type", "--seed", 7]
    assert cli("fit", cells_file, "--out", out, *options, "--n-prototypes", 3, "--threads", 1).exit_code == 0
    record = json.loads((out / "run.json").read_text())
    assert record["settings"]["batch_key"] == ["lab", "day"]
    assert record["settings"]["n_prototypes"] == 3
    assert record["settings"]["threads"] == 1
    assert record["seed"] == 7
    assert record["input"] == str(cells_file)
    assert (record["n_cells"], record["n_genes"]) == (24, 10)
    assert record["batches"] == {"a|1": 6, "a|2": 6, "b|1": 6, "b|2": 6}
    assert set(_versions.LIBRARIES) <= set(record["versions"])
    stages = ["Reading", "Checking", "Loading libraries", "Training", "Writing", "Figures", "UMAP", "Report"]
    assert list(record["timings"]) == stages
    assert record["peak_memory_mib"] > 10
    assert record["losses"] == {"loss": 2.0, "loss_swav": 1.0}
    assert record["diagnostics"] == {"prototypes_used": None}
    assert record["metacells"]["n_metacells"] == 3
    assert record["metacells"]["purity"] == {"cell_type": 0.5}


@pytest.mark.usefixtures("fake_model")
def test_cells_keep_all_of_the_input_and_nothing_of_scvi(cli, cells, cells_file, tmp_path):
    assert cli("fit", cells_file, "--batch-key", "lab", "--out", tmp_path / "run").exit_code == 0
    written = read_h5ad(tmp_path / "run" / "cells.h5ad")
    assert (written.X != cells.X).nnz == 0
    assert list(written.obs_names) == list(cells.obs_names)
    assert set(cells.obs.columns) < set(written.obs.columns)
    assert "_scvi_uuid" not in written.uns


@pytest.mark.filterwarnings("ignore:Writing zarr v2 data:UserWarning")
@pytest.mark.usefixtures("fake_model")
def test_reads_zarr_and_makes_missing_parents(cli, cells, tmp_path):
    cells.write_zarr(tmp_path / "cells.zarr")
    result = cli("fit", tmp_path / "cells.zarr", "--batch-key", "lab", "--out", tmp_path / "a" / "b")
    assert result.exit_code == 0, result.output
    assert names(tmp_path / "a" / "b") == RUN


@pytest.mark.usefixtures("fake_model")
def test_without_a_batch_key_it_says_so(cli, cells_file, tmp_path):
    result = cli("fit", cells_file, "--out", tmp_path / "run", "--no-report")
    assert result.exit_code == 0, result.output
    assert "all cells are taken as one batch" in result.stderr
    assert "24 cells of 1 batch in" in result.stdout
    assert "report.html" not in names(tmp_path / "run")


@pytest.mark.usefixtures("fake_model")
def test_overwrite_replaces_a_run(cli, cells_file, tmp_path):
    fit = ["fit", cells_file, "--batch-key", "lab", "--out", tmp_path / "run"]
    assert cli(*fit, "--seed", 1).exit_code == 0
    assert cli(*fit, "--seed", 2, "--overwrite").exit_code == 0
    assert json.loads((tmp_path / "run" / "run.json").read_text())["seed"] == 2
    assert names(tmp_path) == ["cells.h5ad", "run"]


@pytest.mark.usefixtures("fake_model")
def test_a_crash_keeps_its_traceback_and_the_old_run(cli, cells_file, tmp_path, monkeypatch):
    fit = ["fit", cells_file, "--batch-key", "lab", "--out", tmp_path / "run"]
    assert cli(*fit, "--seed", 1).exit_code == 0

    def crash(*args, **kwargs):
        raise RuntimeError("a defect")

    monkeypatch.setattr(_run, "_write", crash)
    result = cli(*fit, "--seed", 2, "--overwrite")
    assert result.exit_code == 1
    assert isinstance(result.exception, RuntimeError)
    assert json.loads((tmp_path / "run" / "run.json").read_text())["seed"] == 1
    assert names(tmp_path) == ["cells.h5ad", "run"]


@pytest.mark.usefixtures("fake_model")
def test_a_report_that_fails_does_not_lose_the_run(cli, cells_file, tmp_path, monkeypatch):
    def crash(*args, **kwargs):
        raise RuntimeError("a defect")

    monkeypatch.setattr(_run, "_write_report", crash)
    result = cli("fit", cells_file, "--batch-key", "lab", "--out", tmp_path / "run")
    assert result.exit_code == 1
    assert isinstance(result.exception, RuntimeError)
    assert {"cells.h5ad", "metacells.h5ad", "model", "run.json"} == set(names(tmp_path / "run"))


@pytest.mark.usefixtures("no_heavy_work")
def test_input_inside_the_folder_to_replace_is_refused(cli, cells, tmp_path):
    out = tmp_path / "run"
    out.mkdir()
    (out / "run.json").write_text("{}")
    cells.write_h5ad(out / "mine.h5ad")
    result = cli("fit", out / "mine.h5ad", "--batch-key", "lab", "--out", out, "--overwrite")
    assert result.exit_code == 2
    assert "lies in" in result.stderr
    assert names(out) == ["mine.h5ad", "run.json"]
