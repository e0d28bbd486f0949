"""The command ``scproto fit`` with a stand-in for the model: files, messages, exit codes."""

from __future__ import annotations

import errno
import json

import numpy as np
import pytest
from anndata import read_h5ad

from scproto import _versions
from scproto._errors import InputError
from scproto.run import Settings, fit, run

RUN = ["cells.h5ad", "metacells.h5ad", "model", "report.html", "run.json"]


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.usefixtures("fake_model")
def test_the_run_folder_is_written_and_its_files_are_listed(cli, cells_file, tmp_path):
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
def test_run_json_records_settings_and_results(cli, cells_file, tmp_path):
    out = tmp_path / "run"
    options = ["--batch-key", "lab", "--batch-key", "day", "--label-key", "cell_type", "--seed", 7, "--seeds", 2]
    assert cli("fit", cells_file, "--out", out, *options, "--n-prototypes", 3, "--threads", 1).exit_code == 0
    record = json.loads((out / "run.json").read_text())
    assert record["settings"]["batch_key"] == ["lab", "day"]
    assert record["settings"]["n_prototypes"] == 3
    assert record["settings"]["threads"] == 1
    assert record["seed"] == 7
    assert record["settings"]["seeds"] == 2
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
def test_cells_keep_the_input_and_nothing_of_scvi(cli, cells, cells_file, tmp_path):
    assert cli("fit", cells_file, "--batch-key", "lab", "--out", tmp_path / "run").exit_code == 0
    written = read_h5ad(tmp_path / "run" / "cells.h5ad")
    assert (written.X != cells.X).nnz == 0
    assert list(written.obs_names) == list(cells.obs_names)
    assert set(cells.obs.columns) < set(written.obs.columns)
    assert "_scvi_uuid" not in written.uns


@pytest.mark.filterwarnings("ignore:Writing zarr v2 data:UserWarning")
@pytest.mark.usefixtures("fake_model")
def test_zarr_is_read_and_missing_parents_are_created(cli, cells, tmp_path):
    cells.write_zarr(tmp_path / "cells.zarr")
    result = cli("fit", tmp_path / "cells.zarr", "--batch-key", "lab", "--out", tmp_path / "a" / "b")
    assert result.exit_code == 0, result.output
    assert names(tmp_path / "a" / "b") == RUN


@pytest.mark.usefixtures("fake_model")
def test_a_missing_batch_key_is_reported(cli, cells_file, tmp_path):
    result = cli("fit", cells_file, "--out", tmp_path / "run", "--no-report")
    assert result.exit_code == 0, result.output
    assert "all cells are taken as one batch" in result.stderr
    assert "24 cells of 1 batch in" in result.stdout
    assert "report.html" not in names(tmp_path / "run")


@pytest.mark.usefixtures("fake_model")
def test_overwrite_replaces_a_run(cli, cells_file, tmp_path):
    command = ["fit", cells_file, "--batch-key", "lab", "--out", tmp_path / "run"]
    assert cli(*command, "--seed", 1).exit_code == 0
    assert cli(*command, "--seed", 2, "--overwrite").exit_code == 0
    assert json.loads((tmp_path / "run" / "run.json").read_text())["seed"] == 2
    assert names(tmp_path) == ["cells.h5ad", "run"]


def raising(error):
    def crash(*args, **kwargs):
        raise error

    return crash


ERRORS = [
    (RuntimeError("a defect"), 1, "a bug in scproto (RuntimeError: a defect)"),
    (OSError(errno.ENOSPC, "No space left on device", "cells.h5ad"), 74, "No space left on device (cells.h5ad): make"),
    (PermissionError(errno.EACCES, "Permission denied", "cells.h5ad"), 74, "Permission denied (cells.h5ad): check"),
    (OSError("h5py says something\nin two lines"), 74, "h5py says something."),
    (MemoryError(), 71, "not enough memory"),
    (KeyboardInterrupt(), 130, "Interrupted."),
    (InputError("Something does not fit."), 2, "Something does not fit."),
]


@pytest.mark.parametrize(("error", "code", "says"), ERRORS, ids=lambda value: type(value).__name__)
@pytest.mark.usefixtures("fake_model")
def test_the_model_is_kept_after_any_error(cli, cells_file, tmp_path, monkeypatch, error, code, says):
    command = ["fit", cells_file, "--batch-key", "lab", "--out", tmp_path / "run"]
    assert cli(*command, "--seed", 1).exit_code == 0
    monkeypatch.setattr(fit, "writing_h5ad", raising(error))
    result = cli(*command, "--seed", 2, "--overwrite")
    assert result.exit_code == code
    last = result.stderr.splitlines()[-1]
    assert says in last
    kept = tmp_path / "run.incomplete"
    assert last.endswith(f"The complete parts are kept in {kept}: model.")
    assert json.loads((tmp_path / "run" / "run.json").read_text())["seed"] == 1
    assert names(tmp_path) == ["cells.h5ad", "run", "run.incomplete"]
    assert names(kept) == ["model"]


@pytest.mark.usefixtures("fake_model")
def test_every_complete_file_is_kept(cli, cells_file, tmp_path, monkeypatch):
    monkeypatch.setattr(fit, "add_umap", raising(OSError(errno.EIO, "Input/output error")))
    command = ["fit", cells_file, "--batch-key", "lab", "--out", tmp_path / "run"]
    assert cli(*command).exit_code == 74
    assert cli(*command).exit_code == 74
    assert names(tmp_path) == ["cells.h5ad", "run.incomplete", "run.incomplete-2"]
    assert names(tmp_path / "run.incomplete-2") == ["cells.h5ad", "metacells.h5ad", "model"]


@pytest.mark.parametrize("error", [RuntimeError("a defect"), KeyboardInterrupt()], ids=["defect", "interrupt"])
@pytest.mark.usefixtures("fake_model")
def test_a_report_that_fails_does_not_lose_the_run(cli, cells_file, tmp_path, monkeypatch, error):
    monkeypatch.setattr(fit, "_write_report", raising(error))
    out = tmp_path / "run"
    result = cli("fit", cells_file, "--batch-key", "lab", "--out", out)
    assert result.exit_code == (1 if isinstance(error, RuntimeError) else 130)
    assert f"The run in {out} is complete but for its report." in result.stderr
    assert "nothing was written" not in result.stderr
    assert {"cells.h5ad", "metacells.h5ad", "model", "run.json"} == set(names(out))


@pytest.mark.parametrize("listed", [True, False], ids=["by its list", "without one"])
@pytest.mark.usefixtures("fake_model")
def test_overwrite_keeps_files_that_the_run_did_not_write(cli, cells_file, tmp_path, listed):
    out = tmp_path / "run"
    command = ["fit", cells_file, "--batch-key", "lab", "--out", out]
    assert cli(*command).exit_code == 0
    if not listed:  # as in runs of an earlier version
        record = json.loads((out / "run.json").read_text())
        del record["files"]
        (out / "run.json").write_text(json.dumps(record))
    (out / "notes.md").write_text("precious")
    (out / "mine" / "deep").mkdir(parents=True)
    (out / "mine" / "deep" / "cells.h5ad").write_text("precious, too")
    (out / "stale.json").symlink_to(out / "nowhere")
    for seed in (2, 3):
        assert cli(*command, "--seed", seed, "--overwrite").exit_code == 0
        assert names(out) == [*sorted([*RUN, "mine", "notes.md", "stale.json"])]
        assert (out / "notes.md").read_text() == "precious"
        assert (out / "mine" / "deep" / "cells.h5ad").read_text() == "precious, too"
        assert json.loads((out / "run.json").read_text())["seed"] == seed
    assert names(tmp_path) == ["cells.h5ad", "run"]


@pytest.mark.usefixtures("fake_model")
def test_fields_of_other_models_stay_in_the_cells(cli, cells, tmp_path):
    cells.obs["_scvi_batch"] = np.arange(cells.n_obs)
    cells.obs["_scvi_mine"] = "x"
    cells.uns["_scvi_uuid"] = "theirs"
    cells.write_h5ad(tmp_path / "in.h5ad")
    assert cli("fit", tmp_path / "in.h5ad", "--batch-key", "lab", "--out", tmp_path / "run").exit_code == 0
    written = read_h5ad(tmp_path / "run" / "cells.h5ad")
    assert list(written.obs["_scvi_batch"]) == list(range(cells.n_obs))
    assert set(written.obs["_scvi_mine"]) == {"x"}
    assert written.uns["_scvi_uuid"] == "theirs"


@pytest.mark.usefixtures("fake_model")
def test_renamed_keys_are_found_under_their_new_names(cli, cells, tmp_path, monkeypatch):
    def source():
        cells.obs["my/lab"] = cells.obs["lab"].to_numpy()
        cells.obs["metacell"] = "mine"
        return cells

    settings = Settings(batch_key=("my/lab",), label_keys=("metacell", "cell_type"), report=False)
    record = run(source, tmp_path / "run", settings)
    assert record["settings"]["batch_key"] == ("my|lab",)
    assert record["settings"]["label_keys"] == ("metacell_input", "cell_type")
    written = read_h5ad(tmp_path / "run" / "cells.h5ad")
    assert set(written.obs["metacell_input"]) == {"mine"}


@pytest.mark.usefixtures("fake_model")
def test_data_that_cannot_be_written_are_refused_before_the_training(cli, cells, tmp_path, monkeypatch):
    monkeypatch.setattr(fit, "train", lambda *args, **_: pytest.fail("it trained"))

    def source():
        cells.uns["thing"] = object()
        return cells

    with pytest.raises(InputError, match="uns/thing of the cells cannot be written"):
        run(source, tmp_path / "run", Settings(batch_key=("lab",)))
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("no_heavy_work")
def test_raw_and_layer_together_are_refused(cli, cells_file, tmp_path):
    result = cli("fit", cells_file, "--raw", "--layer", "counts", "--out", tmp_path / "run")
    assert result.exit_code == 2
    assert "two places" in result.stderr


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
