"""The command ``scproto evaluate``."""

from __future__ import annotations

import json
import re

import numpy as np
import pandas as pd
import pytest
from anndata import read_h5ad
from scipy import sparse

import scproto.metrics
from scproto.metrics import integration

GEOMETRY = scproto.metrics.geometry_scores
SCGRAPH = scproto.metrics.scgraph_scores


@pytest.fixture
def scored_file(tmp_path, cells):
    cells.obs["scproto_batch"] = cells.obs["lab"]
    cells.obs["metacell"] = [f"metacell_{i // 4}" for i in range(cells.n_obs)]
    cells.obs["incomplete"] = cells.obs["cell_type"].where(np.arange(cells.n_obs) >= 4)
    cells.obs["nothing"] = np.nan
    cells.obsm["X_scproto"] = np.random.default_rng(0).normal(size=(cells.n_obs, 4))
    cells.write_h5ad(tmp_path / "cells.h5ad")
    return tmp_path / "cells.h5ad"


@pytest.fixture
def seen(monkeypatch):
    """Arguments of the slow scores, which are replaced here and tested elsewhere."""
    seen = {}

    def integration_scores(embedding, labels, batches):
        seen.update(embedding=embedding, labels=list(labels), batches=list(batches))
        return {"total": 0.5, "scib_metrics_version": "0.0"}

    def scgraph_scores(embedding, expression, labels, batches):
        seen.update(expression=expression)
        return {"corr_weighted": 0.25}

    def geometry_scores(embedding, assignment):
        return {"compactness_variance": 0.125}

    monkeypatch.setattr(scproto.metrics, "integration_scores", integration_scores)
    monkeypatch.setattr(scproto.metrics, "scgraph_scores", scgraph_scores)
    monkeypatch.setattr(scproto.metrics, "geometry_scores", geometry_scores)
    return seen


PARTS = {
    "metacells": "purity",
    "homogeneity": "compactness_correlation",
    "geometry": "compactness_variance",
    "integration": "total",
    "scgraph": "corr_weighted",
}


def test_scores_are_printed_and_written_as_json(cli, scored_file, tmp_path, seen):
    out = tmp_path / "scores.json"
    result = cli("evaluate", scored_file, "--label-key", "cell_type", "--out", out)
    assert result.exit_code == 0, result.output
    scores = json.loads(out.read_text())
    assert scores["n_cells"] == 24
    assert scores["integration"] == {"total": 0.5, "scib_metrics_version": "0.0"}
    assert scores["metacells"]["purity"] == 1.0
    assert scores["metacells"]["n_metacells"] == 6
    assert scores["metacells"]["batch_entropy"] == pytest.approx(1.0)
    assert scores["label_recall"] == {"B": 1.0, "T": 1.0}
    for part, name in PARTS.items():
        assert name in scores[part]
    for name in (*PARTS.values(), "0.500", "higher", "lower", "recall"):
        assert name in result.stdout
    assert seen["embedding"].shape == (24, 4)
    assert seen["batches"][:2] == ["a", "b"]
    assert seen["expression"].shape == (24, 10)
    assert seen["expression"].max() < 10
    assert "Reading" not in result.stdout


def test_cells_without_a_label_are_left_out(cli, scored_file, seen):
    result = cli("evaluate", scored_file, "--label-key", "incomplete", "--batch-key", "day")
    assert result.exit_code == 0, result.output
    assert "4 cells without" in result.stderr
    assert seen["embedding"].shape == (20, 4)
    assert seen["labels"] == ["B"] * 8 + ["T"] * 12
    assert seen["batches"][-1] == "2"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda cells: cells.X * 0.5, "whole numbers|fractions"),
        (lambda cells: -cells.X, "negative"),
        (lambda cells: None, "no X"),
    ],
    ids=["normalised", "negative", "no matrix"],
)
def test_scores_that_need_counts_are_left_out_without_them(cli, scored_file, cells, tmp_path, seen, change, says):
    counts = cells.X.copy()
    cells.X = change(cells)
    cells.layers["counts"] = counts
    cells.write_h5ad(scored_file)
    out = tmp_path / "scores.json"
    result = cli("evaluate", scored_file, "--label-key", "cell_type", "--out", out)
    assert result.exit_code == 0, result.output
    assert re.search(f"({says}).*are left out", result.stderr)
    assert set(json.loads(out.read_text())) == {"n_cells", "label_recall", "metacells", "geometry", "integration"}
    assert "corr_weighted" not in result.stdout

    result = cli("evaluate", scored_file, "--label-key", "cell_type", "--layer", "counts", "--out", out)
    assert result.exit_code == 0, result.output
    assert set(PARTS) < set(json.loads(out.read_text()))


def test_scgraph_is_left_out_if_the_batches_are_small(cli, scored_file, tmp_path, seen, monkeypatch):
    monkeypatch.setattr(scproto.metrics, "scgraph_scores", SCGRAPH)
    out = tmp_path / "scores.json"
    result = cli("evaluate", scored_file, "--label-key", "cell_type", "--out", out)
    assert result.exit_code == 0, result.output
    assert "No batch has 100 cells" in result.stderr
    assert json.loads(out.read_text())["scgraph"] == {}


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--label-key", "celltype"], "'celltype'"),
        (["--label-key", "cell_type", "--batch-key", "labb"], "'labb'"),
        (["--label-key", "cell_type", "--assignment", "cluster"], "'cluster'"),
        (["--label-key", "cell_type", "--embedding", "X_pca"], "X_scproto"),
        (["--label-key", "cell_type", "--layer", "raw"], "no layer 'raw'"),
        (["--label-key", "nothing"], "No cell"),
    ],
)
def test_missing_names_give_one_sentence(cli, scored_file, tmp_path, options, says):
    result = cli("evaluate", scored_file, *options, "--out", tmp_path / "scores.json")
    assert result.exit_code == 2
    assert says in result.stderr
    assert result.stdout == ""
    assert list(tmp_path.iterdir()) == [scored_file]


def test_an_unwritable_output_is_refused_before_the_work(cli, scored_file, tmp_path, seen):
    result = cli("evaluate", scored_file, "--label-key", "cell_type", "--out", tmp_path / "missing" / "scores.json")
    assert result.exit_code == 2
    assert "Cannot write" in result.stderr
    assert not seen


def test_the_label_must_be_named(cli, scored_file):
    result = cli("evaluate", scored_file)
    assert result.exit_code == 2
    assert "--label-key" in result.stderr


def strictly(text):
    """Parse JSON, and fail at NaN or infinity, which are not valid JSON."""
    return json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} in the JSON"))


TYPES = np.repeat(["B", "T"], 12)
ODD = ["T [naive]", "x [/]", "[bold]", "a\nb", "", "nan", "$x$", "_foo", ":smile:", "北京"]
LABELS = {
    "markup": np.array([ODD[i % len(ODD)] for i in range(24)], dtype=object),
    "one label": np.array(["only"] * 24),
    "one cell": np.array(["rare", *TYPES[1:]], dtype=object),
    "each its own": np.array([f"cell {i}" for i in range(24)], dtype=object),
    "missing": np.array([None, *TYPES[1:]], dtype=object),
    "bools": TYPES == "B",
    "nullable bools": pd.array([None, *(TYPES[1:] == "B")], dtype="boolean"),
    "ints": np.where(TYPES == "B", 10, 9),
    "nullable ints": pd.array([None, *[1] * 11, *[2] * 12], dtype="Int64"),
    "floats": np.where(TYPES == "B", np.nan, np.arange(24) % 3),
    "unused categories": pd.Categorical(TYPES, categories=["T", "B", "never"], ordered=True),
}


@pytest.mark.parametrize("values", LABELS.values(), ids=LABELS)
def test_labels_of_any_type_are_scored(cli, cells, scored_file, tmp_path, seen, values):
    cells.obs["label"] = values
    cells.write_h5ad(scored_file)
    out = tmp_path / "scores.json"
    result = cli("evaluate", scored_file, "--label-key", "label", "--out", out)
    assert result.exit_code == 0, result.output
    scores = strictly(out.read_text())
    given = pd.Series(values).dropna()
    assert scores["n_cells"] == len(given)
    assert set(scores["label_recall"]) == {str(value) for value in given}
    printed = re.sub(r"[\s│|]", "", result.stdout)
    for label in scores["label_recall"]:
        assert re.sub(r"\s", "", label) in printed


def test_a_long_label_is_shown_in_full(cli, cells, scored_file, seen):
    cells.obs["label"] = "Q" * 100
    cells.write_h5ad(scored_file)
    assert cli("evaluate", scored_file, "--label-key", "label").stdout.count("Q") == 100


def test_scores_that_need_several_labels_are_left_out(cli, cells, scored_file, tmp_path):
    cells.obs["cell_type"] = "only"
    cells.write_h5ad(scored_file)
    out = tmp_path / "scores.json"
    result = cli("evaluate", scored_file, "--label-key", "cell_type", "--out", out)
    assert result.exit_code == 0, result.output
    assert "need at least two labels. These scores are left out." in result.stderr
    assert strictly(out.read_text())["integration"] == {}


def test_one_batch_gets_no_mixing_scores(cli, cells, scored_file, tmp_path, monkeypatch):
    monkeypatch.setattr(integration, "_neighbors", lambda *_: None)
    monkeypatch.setattr(integration, "_bio", lambda *_: {"nmi": 0.5})
    cells.obs["scproto_batch"] = "x"
    cells.write_h5ad(scored_file)
    out = tmp_path / "scores.json"
    result = cli("evaluate", scored_file, "--label-key", "cell_type", "--out", out)
    assert result.exit_code == 0, result.output
    assert "No label has cells of two batches" in " ".join(result.stderr.split())
    assert set(strictly(out.read_text())["integration"]) == {"nmi", "bio", "scib_metrics_version"}


def test_two_cells_in_one_metacell_are_scored(cli, cells, scored_file, tmp_path):
    some = cells[[0, 23]].copy()
    some.obs["metacell"] = "metacell_0"
    some.write_h5ad(scored_file)
    out = tmp_path / "scores.json"
    result = cli("evaluate", scored_file, "--label-key", "cell_type", "--out", out)
    assert result.exit_code == 0, result.output
    assert strictly(out.read_text())["metacells"]["n_metacells"] == 1
    assert "left out" in result.stderr


def test_identical_cells_get_no_geometry_scores(cli, cells, scored_file, tmp_path, seen, monkeypatch):
    monkeypatch.setattr(scproto.metrics, "geometry_scores", GEOMETRY)
    cells.obsm["X_scproto"] = np.ones((24, 4))
    cells.write_h5ad(scored_file)
    out = tmp_path / "scores.json"
    result = cli("evaluate", scored_file, "--label-key", "cell_type", "--out", out)
    assert result.exit_code == 0, result.output
    assert "lie in one place" in " ".join(result.stderr.split())
    assert "compactness_variance" not in strictly(out.read_text())["geometry"]


def test_a_sparse_embedding_is_scored(cli, cells, scored_file, seen):
    dense = cells.obsm["X_scproto"].copy()
    cells.obsm["X_scproto"] = sparse.csr_matrix(dense)
    cells.write_h5ad(scored_file)
    result = cli("evaluate", scored_file, "--label-key", "cell_type")
    assert result.exit_code == 0, result.output
    np.testing.assert_array_equal(seen["embedding"], dense)


@pytest.mark.parametrize("rounded", [True, False])
def test_fractional_counts_are_scored_only_if_rounded(cli, scored_file, tmp_path, seen, rounded):
    cells = read_h5ad(scored_file)
    cells.X.data *= np.random.default_rng(0).uniform(0.7, 1, cells.X.nnz).astype(np.float32)
    cells.write_h5ad(scored_file)
    out = tmp_path / "scores.json"
    result = cli("evaluate", scored_file, "--label-key", "cell_type", "--out", out, *["--round-counts"] * rounded)
    assert result.exit_code == 0, result.output
    assert ("homogeneity" in json.loads(out.read_text())) == rounded
    assert "rounded at random" in result.stderr if rounded else "--round-counts" in result.stderr
