"""Bad input: one sentence, exit code 2, nothing written."""

from __future__ import annotations

import numpy as np
import pytest

pytestmark = pytest.mark.usefixtures("no_heavy_work")


def snapshot(folder):
    return {path: path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def assert_refused(result, says):
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    errors = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert len(errors) == 1
    assert result.stderr.splitlines()[-1] == errors[0]
    assert says in errors[0]


def log_normalise(cells):
    cells.layers["counts"] = cells.X.copy()
    cells.X.data = np.log1p(cells.X.data / 3)


def negate(cells):
    cells.X.data[5] = -1


def lose_a_value(cells):
    cells.X.data[5] = np.nan


def halve(cells):
    cells.X.data += np.linspace(0.2, 0.8, cells.X.nnz, dtype=np.float32)


def repeat_a_name(cells):
    cells.obs_names = ["cell0", *cells.obs_names[1:-1], "cell0"]


def empty_a_cell(cells):
    counts = cells.X.tolil()
    counts[3] = 0
    cells.X = counts.tocsr()


def isolate_a_cell(cells):
    cells.obs["lab"] = ["alone"] + ["together"] * (cells.n_obs - 1)


def forget_a_batch(cells):
    cells.obs["lab"] = cells.obs["lab"].where(np.arange(cells.n_obs) > 0)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (log_normalise, "log"),
        (negate, "negative"),
        (lose_a_value, "NaN"),
        (halve, "fractional counts"),
        (repeat_a_name, "obs_names_make_unique"),
        (empty_a_cell, "filter_cells"),
        (isolate_a_cell, "'alone'"),
        (forget_a_batch, "no value for 1 cell"),
    ],
)
def test_unusable_cells_are_refused(cli, cells, tmp_path, spoil, says):
    spoil(cells)
    path = tmp_path / "cells.h5ad"
    cells.write_h5ad(path)
    before = snapshot(tmp_path)
    assert_refused(cli("fit", path, "--batch-key", "lab", "--out", tmp_path / "run"), says)
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--batch-key", "labb"], "'lab'"),
        (["--batch-key", "lab", "--label-key", "celltype"], "'cell_type'"),
        (["--batch-key", "lab", "--layer", "counts"], "'counts'"),
        (["--batch-key", "lab", "--n-prototypes", "25"], "24 cells"),
    ],
)
def test_keys_and_sizes_that_do_not_fit_the_data_are_refused(cli, cells_file, tmp_path, options, says):
    before = snapshot(tmp_path)
    assert_refused(cli("fit", cells_file, *options, "--out", tmp_path / "run"), says)
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("missing.h5ad", None, "does not exist"),
        ("cells.csv", b"gene,cell", "format that scproto does not read"),
        ("corrupt.h5ad", b"not HDF5", "cannot be read"),
    ],
)
def test_unreadable_files_are_refused(cli, tmp_path, name, content, says):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    before = snapshot(tmp_path)
    assert_refused(cli("fit", tmp_path / name, "--batch-key", "lab", "--out", tmp_path / "run"), says)
    assert snapshot(tmp_path) == before


def test_a_truncated_file_is_refused(cli, cells_file, tmp_path):
    cells_file.write_bytes(cells_file.read_bytes()[:3000])
    assert_refused(cli("fit", cells_file, "--out", tmp_path / "run"), "cannot be read")


@pytest.mark.parametrize("missing", [False, True], ids=["good input", "missing input"])
def test_an_existing_output_is_refused_before_reading(cli, cells_file, tmp_path, monkeypatch, missing):
    monkeypatch.setattr("scproto.run.fit.read_cells", lambda path, **_: pytest.fail("the data were read"))
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_text("{}")
    cells = tmp_path / "missing.h5ad" if missing else cells_file
    before = snapshot(tmp_path)
    assert_refused(cli("fit", cells, "--batch-key", "lab", "--out", tmp_path / "run"), "exists already")
    assert snapshot(tmp_path) == before


def test_overwrite_does_not_delete_a_folder_that_is_not_a_run(cli, cells_file, tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.tex").write_text("precious")
    before = snapshot(tmp_path)
    result = cli("fit", cells_file, "--batch-key", "lab", "--out", tmp_path / "thesis", "--overwrite")
    assert_refused(result, "holds no run.json")
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("options", [[], ["--overwrite"]])
def test_an_unwritable_output_is_refused_before_reading(cli, cells_file, tmp_path, monkeypatch, options):
    monkeypatch.setattr("scproto.run.fit.read_cells", lambda path, **_: pytest.fail("the data were read"))
    (tmp_path / "file").write_text("a file, not a folder")
    before = snapshot(tmp_path)
    result = cli("fit", cells_file, "--batch-key", "lab", "--out", tmp_path / "file" / "run", *options)
    assert_refused(result, "Cannot write")
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize(
    "options",
    [
        ["--n-prototypes", "many"],
        ["--n-prototypes", "0"],
        ["--seed", "-1"],
        ["--seeds", "0"],
        ["--max-steps", "0"],
        ["--threads", "0"],
        ["--accelerator", "abacus"],
        ["--unknown"],
    ],
)
def test_bad_options_are_refused(cli, cells_file, tmp_path, options):
    result = cli("fit", cells_file, "--out", tmp_path / "run", *options)
    assert result.exit_code == 2
    assert options[0] in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "run").exists()


def test_the_output_must_be_named(cli, cells_file):
    result = cli("fit", cells_file)
    assert result.exit_code == 2
    assert "--out" in result.stderr
