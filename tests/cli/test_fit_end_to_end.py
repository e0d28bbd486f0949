"""From a file of counts to a run folder, with the real model, on a tiny atlas."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData, read_h5ad
from scipy import sparse
from typer.testing import CliRunner

from scproto.cli import app

N_CELLS, N_GENES, N_METACELLS = 300, 100, 8
SMALL = ["--n-prototypes", str(N_METACELLS), "--max-steps", "60", "--threads", "1", "--accelerator", "cpu"]


def atlas() -> AnnData:
    """Three cell types in two labs that capture genes differently. The depth differs between cells."""
    rng = np.random.default_rng(0)
    cell_type, lab = rng.integers(3, size=N_CELLS), rng.integers(2, size=N_CELLS)
    profile = rng.gamma(0.5, 2, (3, N_GENES))[cell_type] * rng.lognormal(0, 0.3, (2, N_GENES))[lab]
    counts = rng.poisson(profile * rng.lognormal(0, 0.3, (N_CELLS, 1)))
    obs = pd.DataFrame(
        {"lab": np.array(["north", "south"])[lab], "day": np.where(np.arange(N_CELLS) % 2, "1", "2")},
        index=[f"cell{i}" for i in range(N_CELLS)],
    )
    obs["cell_type"] = pd.Categorical(np.array(["B", "NK", "T"])[cell_type])
    var = pd.DataFrame({"symbol": "g"}, index=[f"gene{i}" for i in range(N_GENES)])
    return AnnData(sparse.csr_matrix(counts, dtype=np.float32), obs, var, uns={"title": "tiny atlas"})


def fit(cells, out, *options):
    result = CliRunner().invoke(app, ["fit", str(cells), "--out", str(out), *SMALL, *options])
    assert result.exit_code == 0, result.output
    return result


@pytest.fixture(scope="module")
def cells_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("atlas") / "cells.h5ad"
    atlas().write_h5ad(path)
    return path


@pytest.fixture(scope="module")
def finished(cells_file):
    """Result of the command, run once as a user would."""
    options = ["--batch-key", "lab", "--label-key", "cell_type", "--out", str(cells_file.parent / "run")]
    command = [sys.executable, "-m", "scproto", "fit", str(cells_file), *options, *SMALL]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="module")
def run(finished, cells_file):
    return cells_file.parent / "run"


@pytest.fixture(scope="module")
def cells(run):
    return read_h5ad(run / "cells.h5ad")


@pytest.fixture(scope="module")
def metacells(run):
    return read_h5ad(run / "metacells.h5ad")


def test_only_our_own_messages_are_shown(finished):
    stages = [
        "Reading",
        "Checking",
        "Loading libraries",
        "Preparing",
        "Training",
        "Labels",
        "Metacells",
        "Stability",
        "Check",
        "Writing",
        "Figures",
        "UMAP",
        "Report",
    ]
    shown = [line.split(" ", 1)[1].rsplit(" ", 2)[0] for line in finished.stderr.splitlines() if line.startswith("✓")]
    assert shown == stages
    for noise in ("Warning", "GPU available", "Seed set", "lightning", "scvi", "Epoch"):
        assert noise not in finished.stderr
    assert finished.stdout.startswith("300 cells of 2 batches in ")


def test_the_verdict_is_printed_stored_and_reported(finished, run, cells):
    verdict = json.loads((run / "run.json").read_text())["verdict"]
    assert 3 <= len(verdict["sentences"]) <= 7
    assert 0 <= verdict["disagreement"] <= 1
    page = (run / "report.html").read_text()
    for sentence in verdict["sentences"]:
        assert sentence in finished.stdout
        assert sentence.split('"')[0] in page
    assert list(cells.uns["scproto"]["verdict"]["sentences"]) == verdict["sentences"]


def test_the_folder_holds_only_the_results(run):
    names = sorted(path.name for path in run.iterdir())
    assert names == ["cells.h5ad", "figures", "metacells.h5ad", "model", "report.html", "run.json"]
    assert sorted(path.name for path in run.parent.iterdir()) == ["cells.h5ad", "run"]
    assert not [path for path in run.rglob("*") if "tmp" in path.name or path.suffix in (".pt", ".pkl")]


def test_cells_keep_the_input(cells):
    given = atlas()
    assert (cells.X != given.X).nnz == 0
    assert list(cells.obs_names) == list(given.obs_names)
    assert list(cells.var_names) == list(given.var_names)
    assert list(cells.obs["cell_type"]) == list(given.obs["cell_type"])
    assert list(cells.var["symbol"]) == list(given.var["symbol"])
    assert cells.uns["title"] == "tiny atlas"


def test_cells_hold_the_results(cells):
    latent = cells.obsm["X_scproto"]
    assert latent.dtype == np.float32
    assert np.isfinite(latent).all()
    assert cells.varm["scproto_axes"].shape == (cells.n_vars, latent.shape[1])
    np.testing.assert_allclose(np.linalg.norm(cells.obsm["X_scproto_sphere"], axis=1), 1, atol=1e-5)
    assert isinstance(cells.obs["metacell"].dtype, pd.CategoricalDtype)
    assert cells.obs["metacell"].notna().all()
    assert cells.obs["metacell_confidence"].between(0, 1).all()
    assert cells.obs["metacell_distance"].between(0, 2).all()
    assert cells.obs["metacell_outlier"].dtype == bool
    assert sorted(cells.obs["scproto_batch"].unique()) == ["north", "south"]
    assert {"version", "settings", "seed"} <= set(cells.uns["scproto"])
    assert not [key for key in (*cells.uns, *cells.obs, *cells.obsm) if key.startswith("_scvi")]


def test_probabilities_agree_with_the_assignment(cells, metacells):
    probability = cells.obsm["metacell_probability"]
    assert sparse.issparse(probability)
    assert probability.shape == (N_CELLS, len(metacells))
    assert probability.data.min() >= 0
    assert probability.sum(axis=1).max() <= 1 + 1e-5


def test_metacells_sum_their_cells(cells, metacells):
    assert metacells.shape == (N_METACELLS, N_GENES)
    assert list(metacells.obs_names) == [f"metacell_{i}" for i in range(N_METACELLS)]
    assert list(metacells.var_names) == list(cells.var_names)
    assert set(cells.obs["metacell"]) <= set(metacells.obs_names)
    membership = cells.obs["metacell"].to_numpy()[None, :] == metacells.obs_names.to_numpy()[:, None]
    np.testing.assert_array_equal(metacells.obs["n_cells"], membership.sum(axis=1))
    counts = metacells.layers["counts"]
    dense = counts.toarray() if sparse.issparse(counts) else counts
    np.testing.assert_array_equal(dense, membership @ cells.X.toarray())
    np.testing.assert_allclose(metacells.obs["n_counts"], dense.sum(axis=1))
    used = membership.any(axis=1)
    np.testing.assert_allclose(
        metacells.obs["confidence"][used],
        [cells.obs["metacell_confidence"][members].mean() for members in membership[used]],
        rtol=1e-5,
    )


def test_metacells_have_shares_of_batches_and_labels(cells, metacells):
    used = metacells[metacells.obs["n_cells"] > 0]
    groups = cells.obs.groupby("metacell", observed=True)
    for lab in ("north", "south"):
        share = groups["lab"].apply(lambda labs, lab=lab: (labs == lab).mean())
        np.testing.assert_allclose(used.obs[f"share_{lab}"], share[used.obs_names], atol=1e-6)
    assert used.obs["batch_entropy"].between(0, 1 + 1e-9).all()
    majority = groups["cell_type"].apply(lambda labels: labels.value_counts(normalize=True).max())
    np.testing.assert_allclose(used.obs["cell_type_share"], majority[used.obs_names], atol=1e-6)
    assert set(used.obs["cell_type"]) <= {"B", "NK", "T"}


def test_decoded_profiles_are_cp10k(metacells):
    decoded = metacells.layers["decoded"]
    np.testing.assert_array_equal(metacells.X, decoded)
    assert np.isfinite(decoded).all()
    assert decoded.min() >= 0
    np.testing.assert_allclose(decoded.sum(axis=1), 10_000, rtol=1e-3)


def test_metacells_have_prototypes_and_a_tree(metacells):
    np.testing.assert_allclose(np.linalg.norm(metacells.obsm["X_scproto_sphere"], axis=1), 1, atol=1e-5)
    assert metacells.uns["scproto_tree"].shape == (N_METACELLS - 1, 4)
    assert "tree_parent" in metacells.obs


def test_run_json_records_the_run(run):
    record = json.loads((run / "run.json").read_text())
    assert record["settings"]["batch_key"] == ["lab"]
    assert record["settings"]["max_steps"] == 60
    assert record["seed"] == 0
    assert (record["n_cells"], record["n_genes"]) == (N_CELLS, N_GENES)
    assert {"Reading", "Preparing", "Training", "Metacells", "UMAP", "Writing", "Report"} <= set(record["timings"])
    assert record["peak_memory_mib"] > 100
    assert {"loss", "loss_swav", "loss_propagation", "loss_reconstruction"} <= set(record["losses"])
    assert all(np.isfinite(value) for value in record["losses"].values())
    assert 1 <= record["diagnostics"]["prototypes_used"] <= N_METACELLS
    assert record["metacells"]["purity"]["cell_type"] > 0.5


def test_the_report_is_one_file_without_external_links(run):
    html = (run / "report.html").read_text()
    assert 'id="data"' in html
    assert "src=" not in html
    assert list((run / "figures").glob("*.png"))


def test_a_loaded_model_gives_the_same_embedding(run, cells_file, cells):
    import scproto

    adata = read_h5ad(cells_file)
    scproto.pp.prepare(adata, batch_key="lab")
    model = scproto.SCPROTO.load(run / "model", adata)
    np.testing.assert_array_equal(model.get_latent_representation(), cells.obsm["X_scproto"])


def test_the_same_seed_gives_the_same_result_and_another_seed_another(cells_file, cells, metacells, tmp_path):
    keys = ["--batch-key", "lab", "--label-key", "cell_type", "--no-report"]
    fit(cells_file, tmp_path / "again", *keys)
    fit(cells_file, tmp_path / "other", *keys, "--seed", "1")
    again, other = (read_h5ad(tmp_path / name / "cells.h5ad") for name in ("again", "other"))
    np.testing.assert_array_equal(again.obsm["X_scproto"], cells.obsm["X_scproto"])
    pd.testing.assert_frame_equal(again.obs, cells.obs)
    assert not np.allclose(other.obsm["X_scproto"], cells.obsm["X_scproto"])
    decoded = read_h5ad(tmp_path / "again" / "metacells.h5ad").X
    np.testing.assert_array_equal(decoded, metacells.X)


def test_counts_in_a_layer_and_the_product_of_two_keys(tmp_path):
    adata = atlas()
    adata.layers["counts"] = adata.X.copy()
    adata.X = adata.X.log1p()
    adata.write_h5ad(tmp_path / "cells.h5ad")
    keys = ["--layer", "counts", "--batch-key", "lab", "--batch-key", "day", "--no-report"]
    fit(tmp_path / "cells.h5ad", tmp_path / "run", *keys)
    written = read_h5ad(tmp_path / "run" / "cells.h5ad")
    assert sorted(written.obs["scproto_batch"].unique()) == ["north|1", "north|2", "south|1", "south|2"]
    np.testing.assert_allclose(written.X.toarray(), adata.X.toarray())
    metacells = read_h5ad(tmp_path / "run" / "metacells.h5ad")
    assert metacells.obs["n_counts"].sum() == adata.layers["counts"].sum()


def test_fractional_counts_in_raw(tmp_path):
    adata = atlas()
    adata.X.data *= np.random.default_rng(1).uniform(0.7, 1, adata.X.nnz).astype(np.float32)
    fractional = adata.X.copy()
    adata.raw = adata.copy()
    adata.X = adata.X.log1p()
    adata = adata[:, :40].copy()
    adata.write_h5ad(tmp_path / "cells.h5ad")
    options = ["--batch-key", "lab", "--raw", "--no-report"]
    refused = CliRunner().invoke(app, ["fit", str(tmp_path / "cells.h5ad"), "--out", str(tmp_path / "run"), *options])
    assert refused.exit_code == 2
    assert "--round-counts" in refused.stderr
    result = fit(tmp_path / "cells.h5ad", tmp_path / "run", *options, "--round-counts", "--seed", "4")
    assert "rounded at random, with the seed 4" in result.stderr
    written = read_h5ad(tmp_path / "run" / "cells.h5ad")
    np.testing.assert_array_equal(written.X.toarray(), fractional.toarray())
    assert written.uns["scproto"]["prepare"]["round_counts"]
    counts = read_h5ad(tmp_path / "run" / "metacells.h5ad").layers["counts"]
    assert (counts.data == np.rint(counts.data)).all()
    assert counts.sum() == pytest.approx(fractional.sum(), rel=0.01)


def test_one_batch_can_be_fitted(cells_file, tmp_path):
    fit(cells_file, tmp_path / "run", "--no-report")
    written = read_h5ad(tmp_path / "run" / "cells.h5ad")
    assert written.obs["metacell"].nunique() > 1
    assert np.isfinite(written.obsm["X_scproto"]).all()


INTERRUPTED_IN_TRAINING = f"""
import os, signal, torch
signal.signal(signal.SIGINT, signal.default_int_handler)  # background jobs of a shell ignore it
from scproto.cli import main

step = torch.optim.AdamW.step

def interrupt(self, *args, **kwargs):
    os.kill(os.getpid(), {int(signal.SIGINT)})
    return step(self, *args, **kwargs)

torch.optim.AdamW.step = interrupt
main()
"""


def test_ctrl_c_in_the_training_leaves_nothing_behind(cells_file, tmp_path):
    command = [
        sys.executable,
        "-c",
        INTERRUPTED_IN_TRAINING,
        "fit",
        str(cells_file),
        "--out",
        str(tmp_path / "run"),
        *SMALL,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 130, done.stderr
    assert done.stderr.splitlines()[-1] == "Error: Interrupted: nothing was written."
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())
