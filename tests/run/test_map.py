from __future__ import annotations

import json

import anndata as ad
import numpy as np
import pytest
from typer.testing import CliRunner

from scproto import _keys
from scproto._errors import InputError
from scproto.cli import app
from scproto.datasets import simulate_atlas
from scproto.run import Settings, run
from scproto.run.map import MapSettings, map_run


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run on three batches, and a file with cells of a fourth."""
    folder = tmp_path_factory.mktemp("map")
    atlas = simulate_atlas(400, 120, 4, 3, rare_fraction=0.2, depth=400, seed=1)
    new = (atlas.obs["batch"] == atlas.obs["batch"].cat.categories[-1]).to_numpy()
    atlas[~new].copy().write_h5ad(folder / "reference.h5ad")
    query = atlas[new].copy()
    query.obs["unused"] = "x"
    query.write_h5ad(folder / "query.h5ad")
    settings = Settings(("batch",), ("cell_type",), n_prototypes=8, max_steps=120, threads=1)
    run(folder / "reference.h5ad", folder / "run", settings)
    return folder


@pytest.fixture(scope="module")
def mapped(folder):
    settings = MapSettings(label_keys=("cell_type",), threads=1)
    record = map_run(folder / "query.h5ad", folder / "run/model", folder / "mapped", settings)
    return folder / "mapped", record


def test_the_folder_is_complete(mapped, folder):
    out, record = mapped
    assert {"cells.h5ad", "metacells.h5ad", "report.html", "run.json"} <= {path.name for path in out.iterdir()}
    assert json.loads((out / "run.json").read_text()) == json.loads(json.dumps(record))
    assert record["genes"]["n_matched"] == record["genes"]["n_genes"]
    assert sum(record["labels"]["cell_type"].values()) == record["n_cells"]


def test_cells_have_the_schema_of_a_fit(mapped, folder):
    cells, fitted = ad.read_h5ad(mapped[0] / "cells.h5ad"), ad.read_h5ad(folder / "run/cells.h5ad")
    assert set(fitted.obsm) - {_keys.PCA} <= set(cells.obsm)
    assert set(_keys.WRITTEN_OBS) <= set(cells.obs)
    assert "unused" in cells.obs
    metacells = ad.read_h5ad(mapped[0] / "metacells.h5ad")
    assert metacells.layers["counts"].sum() == cells.X.sum()
    assert set(metacells.obs_names) <= set(ad.read_h5ad(folder / "run/metacells.h5ad").obs_names) | set(
        cells.obs["metacell"]
    )


def test_the_query_lies_on_the_map_of_the_reference(mapped, folder):
    reference = ad.read_h5ad(folder / "run/cells.h5ad").obsm[_keys.UMAP]
    places = ad.read_h5ad(mapped[0] / "cells.h5ad").obsm[_keys.UMAP]
    assert (places >= reference.min(0)).all()
    assert (places <= reference.max(0)).all()
    assert (
        '"background": {' in (mapped[0] / "report.html").read_text()
        or '"background":{' in (mapped[0] / "report.html").read_text()
    )


def test_without_the_run_the_query_gets_a_map_of_its_own(folder, tmp_path):
    (tmp_path / "alone").mkdir()
    (folder / "run/model").rename(tmp_path / "alone/model")
    try:
        map_run(folder / "query.h5ad", tmp_path / "alone/model", tmp_path / "mapped", MapSettings(threads=1))
    finally:
        (tmp_path / "alone/model").rename(folder / "run/model")
    assert np.isfinite(ad.read_h5ad(tmp_path / "mapped/cells.h5ad").obsm["X_scproto"]).all()
    assert (tmp_path / "mapped/report.html").is_file()


def test_a_label_that_was_not_learnt_is_refused_before_any_work(folder, tmp_path):
    with pytest.raises(InputError, match="has not learnt the labels of 'tissue'"):
        map_run(folder / "query.h5ad", folder / "run/model", tmp_path / "mapped", MapSettings(label_keys=("tissue",)))
    assert not list(tmp_path.iterdir())


def test_the_command_maps_and_says_what_it_found(folder, tmp_path):
    arguments = ["map", str(folder / "query.h5ad"), "--model", str(folder / "run/model"), "--out", str(tmp_path / "m")]
    result = CliRunner().invoke(app, [*arguments, "--label-key", "cell_type", "--no-report", "--threads", "1"])
    assert result.exit_code == 0, result.output
    assert "metacells of the reference" in result.stdout
    assert "cell_type: " in result.stdout
    assert not (tmp_path / "m/report.html").exists()


def test_a_folder_without_a_model_is_refused_in_one_sentence(folder, tmp_path):
    arguments = ["map", str(folder / "query.h5ad"), "--model", str(folder), "--out", str(tmp_path / "m")]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert "holds no model" in result.output.replace("\n", " ")
