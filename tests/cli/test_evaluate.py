"""The command ``scproto evaluate``."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

import scproto.metrics

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
    """Return what the slow scores, which are tested elsewhere, were asked for."""
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


def test_prints_a_table_and_writes_json(cli, scored_file, tmp_path, seen):
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


def test_leaves_out_cells_without_a_label(cli, scored_file, seen):
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


def test_scgraph_is_left_out_where_batches_are_small(cli, scored_file, tmp_path, seen, monkeypatch):
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


def test_scores_that_cannot_be_written_are_told_before_the_work(cli, scored_file, tmp_path, seen):
    result = cli("evaluate", scored_file, "--label-key", "cell_type", "--out", tmp_path / "missing" / "scores.json")
    assert result.exit_code == 2
    assert "Cannot write" in result.stderr
    assert not seen


def test_the_label_must_be_named(cli, scored_file):
    result = cli("evaluate", scored_file)
    assert result.exit_code == 2
    assert "--label-key" in result.stderr
