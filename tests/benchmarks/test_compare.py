from __future__ import annotations

import json
import re
import sys

import anndata
import compare
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData
from lab.runs import Run
from methods import METHODS, prepare
from scoring import score

import scproto
from scproto.metrics import metacell_scores


@pytest.fixture(scope="module")
def results(_tiny_atlas, tmp_path_factory):
    folder = tmp_path_factory.mktemp("comparison")
    _tiny_atlas.write_h5ad(folder / "atlas.h5ad")
    call(folder, "--seeds", "0")
    return folder


def call(folder, *options: str) -> pd.DataFrame:
    """Call the command with fake integration scores; computing them is slow and has its own tests."""
    always = [folder / "atlas.h5ad", "--out", folder / "out", "--n-prototypes", "12", "--methods", "pca", "random"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["compare.py", *map(str, always), *options])
        for part in ("_neighbors", "_bio", "_batch"):
            patch.setattr(f"scproto.metrics.integration.{part}", lambda *_: {"part": 0.5})
        compare.main()
    return pd.read_csv(folder / "out" / "scores.csv")


def test_methods_follow_the_contract_and_every_table_is_written(results):
    for name, n_dims in {"pca": 50, "random": None}.items():
        with np.load(results / "out" / "runs" / "atlas" / f"{name}_k12_seed0" / "result.npz") as found:
            assert len(np.unique(found["assignment"])) == 12
            shape = found["embedding"].shape if "embedding" in found else None
            assert (found["assignment"].shape, shape) == ((300,), n_dims and (300, n_dims))
    table = call(results, "--seeds", "0")
    assert table["method"].tolist() == ["pca", "random"]
    assert (table["status"] == "ok").all()
    assert table["total"].notna().tolist() == [True, False]
    written = json.loads((results / "out" / "scores.json").read_text())
    assert set(written["versions"]) == {"pca", "random"}
    summary = pd.read_csv(results / "out" / "summary.csv")
    assert "commit" in summary
    assert "| random |  |  |" in compare.markdown(summary)


def test_existing_results_are_not_computed_again(results, monkeypatch):
    computed = []
    real = Run.compute
    monkeypatch.setattr(Run, "compute", lambda run, limits: computed.append(run.about) or real(run, limits))
    call(results, "--seeds", "0")
    assert not computed
    call(results, "--seeds", "0", "1", "--methods", "random")
    assert [(about["method"], about["seed"]) for about in computed] == [("random", 1)]
    call(results, "--seeds", "1", "--methods", "random", "--again")
    assert len(computed) == 2


def test_a_result_that_cannot_be_scored_keeps_its_row(results, capsys):
    path = results / "out" / "runs" / "atlas" / "pca_k12_seed0" / "result.npz"
    with np.load(path) as arrays:
        good = dict(arrays)
    np.savez(path, **good | {"embedding": np.full_like(good["embedding"], np.nan)})
    assert call(results, "--seeds", "0", "--rescore")["status"][0].startswith("not scored: The embedding has NaN")
    assert "atlas, pca, seed 0: not scored" in capsys.readouterr().out
    np.savez(path, **good)
    assert call(results, "--seeds", "0", "--rescore")["status"][0] == "ok"


def test_a_failed_installation_counts_as_a_result(results):
    table = call(results, "--seeds", "0", "--methods", "harmony", "--python", "/bin/false").set_index("method")
    assert table.loc["harmony", "status"].startswith("not run: its environment could not be installed")


def test_scores_use_cells_with_a_label_and_metacell_scores_those_with_a_metacell(monkeypatch):
    monkeypatch.setattr("scproto.metrics.integration_scores", lambda *arrays: {"total": arrays})
    rng = np.random.default_rng(0)
    obs = pd.DataFrame({"batch": rng.choice(["a", "b"], 200), "cell_type": rng.choice(["B", "T", "NK"], 200)})
    obs.index = obs.index.astype(str)
    obs.loc["0":"9", "cell_type"] = None
    counts = sp.csr_matrix(rng.poisson(1.0, (200, 30)).astype(np.float32))
    cells = AnnData(counts, obs=obs, obsm={"X_pca": rng.normal(size=(200, 6)).astype(np.float32)})
    found = {"assignment": rng.integers(-1, 8, 200), "embedding": rng.normal(size=(200, 5)).astype(np.float32)}
    scores = score(found, cells)
    np.testing.assert_array_equal(scores["total"][0], found["embedding"][10:])
    taken = found["assignment"][10:] >= 0
    assert scores["assigned"] == pytest.approx(taken.mean())
    known = obs.iloc[10:][taken]
    expected = metacell_scores(found["assignment"][10:][taken], known["cell_type"], known["batch"])
    assert {name: scores[name] for name in expected} == expected
    assert {"inv", "dubious_rate_within_batch", "compactness_variance"} <= set(scores)
    assert not {"total", "corr_weighted"} & set(score({"assignment": found["assignment"]}, cells))


def test_the_input_has_the_genes_of_scproto_and_no_labels(tiny_atlas, tmp_path):
    tiny_atlas.obs["cell_type"] = tiny_atlas.obs["cell_type"].astype(object)
    tiny_atlas.obs.loc[tiny_atlas.obs_names[:3], "cell_type"] = np.nan
    tiny_atlas.write_h5ad(tmp_path / "atlas.h5ad")
    made = prepare(tmp_path / "atlas.h5ad", tmp_path / "inputs")
    cells = anndata.read_h5ad(made.prepared)
    scproto.pp.prepare(tiny_atlas, "batch")
    chosen = tiny_atlas[:, tiny_atlas.var["scproto_gene"]]
    assert list(cells.obs.columns) == ["batch"]
    assert list(cells.var_names) == list(chosen.var_names)
    np.testing.assert_array_equal(cells.X.toarray(), np.asarray(chosen.to_df()))
    np.testing.assert_allclose(cells.obsm["X_pca"], tiny_atlas.obsm["X_scproto_pca"])
    assert made.labelled().obs["cell_type"].isna().sum() == 3
    written = made.prepared.stat().st_mtime_ns
    assert prepare(tmp_path / "atlas.h5ad", tmp_path / "inputs") == made
    assert made.prepared.stat().st_mtime_ns == written
    tiny_atlas[:200].write_h5ad(tmp_path / "atlas.h5ad")
    assert prepare(tmp_path / "atlas.h5ad", tmp_path / "inputs").n_cells == 200


def test_bad_input_ends_in_one_sentence(tiny_atlas, tmp_path):
    del tiny_atlas.obs["cell_type"]
    tiny_atlas.write_h5ad(tmp_path / "atlas.h5ad")
    with pytest.raises(SystemExit, match="has no obs"):
        call(tmp_path)


@pytest.mark.parametrize("method", METHODS.values(), ids=list(METHODS))
def test_every_method_has_a_script_and_exact_pins(method):
    assert method.script.exists()
    if method.script.stem in ("scproto_fit", "pca", "random_cells"):
        assert method.requirements is None
        return
    pins = method.requirements.read_text().splitlines()
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", pin) for pin in pins)
    assert method.package in {pin.split("==")[0].lower().replace("_", "-") for pin in pins}


@pytest.mark.slow
def test_the_comparison_runs_the_command_of_scproto(results):
    table = call(results, "--seeds", "0", "--methods", "scproto").set_index("method")
    assert table.loc["scproto", ["status", "assigned"]].tolist() == ["ok", 1]
    assert table.loc["scproto", "n_metacells"] <= 12
    assert table.loc["scproto", "total"] > 0
