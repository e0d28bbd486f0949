from __future__ import annotations

import json
import sys

import compare
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData
from comparison.runs import Found, read_found
from comparison.scores import score

from scproto.metrics import metacell_scores


@pytest.fixture(scope="module")
def results(_tiny_atlas, tmp_path_factory):
    folder = tmp_path_factory.mktemp("comparison")
    _tiny_atlas.write_h5ad(folder / "atlas.h5ad")
    call(folder, "--seeds", "0")
    return folder


def call(folder, *options: str) -> None:
    """Call the command; integration is checked but not computed, which takes long and is tested for itself."""
    always = [folder / "atlas.h5ad", "--out", folder / "out", "--n-prototypes", "12", "--methods", "pca", "random"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["compare.py", *map(str, always), *options])
        for part in ("_neighbors", "_bio", "_batch"):
            patch.setattr(f"scproto.metrics.integration.{part}", lambda *_: {"part": 0.5})
        compare.main()


def forbid(*_args):
    raise AssertionError("computed again")


def test_methods_keep_to_the_contract(results):
    runs = results / "out" / "runs" / "atlas"
    for name, n_dims in {"pca": 50, "random": None}.items():
        found = read_found(runs / f"{name}_k12_seed0" / "result.npz")
        assert found.assignment.shape == (300,)
        assert len(np.unique(found.assignment)) == 12
        assert (None if found.embedding is None else found.embedding.shape) == (n_dims and (300, n_dims))


def test_every_table_is_written(results):
    table = pd.read_csv(results / "out" / "scores.csv")
    assert table["method"].tolist() == ["pca", "random"]
    assert (table["status"] == "ok").all()
    assert table["total"].notna().tolist() == [True, False]
    written = json.loads((results / "out" / "scores.json").read_text())
    assert set(written["versions"]) == {"pca", "random"}
    assert len(written["rows"]) == 2
    assert written["rows"][0]["threads"] == 1
    assert len(pd.read_csv(results / "out" / "summary.csv")) == 2


def test_what_is_there_is_not_computed_again(results, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(compare, "compute", forbid)
        call(results, "--seeds", "0")
    computed = []
    real = compare.compute
    monkeypatch.setattr(compare, "compute", lambda run, *rest: computed.append(run) or real(run, *rest))
    call(results, "--seeds", "0", "1", "--methods", "random")
    assert [(run.method, run.seed) for run in computed] == [("random", 1)]
    call(results, "--seeds", "1", "--methods", "random", "--again")
    assert len(computed) == 2


def test_only_cells_with_a_label_are_scored_and_for_metacells_those_with_one(monkeypatch):
    monkeypatch.setattr("comparison.scores.integration_scores", lambda *arrays: {"total": arrays})
    rng = np.random.default_rng(0)
    obs = pd.DataFrame({"batch": rng.choice(["a", "b"], 200), "cell_type": rng.choice(["B", "T", "NK"], 200)})
    obs.index = obs.index.astype(str)
    obs.loc["0":"9", "cell_type"] = None
    counts = sp.csr_matrix(rng.poisson(1.0, (200, 30)).astype(np.float32))
    cells = AnnData(counts, obs=obs, obsm={"X_pca": rng.normal(size=(200, 6)).astype(np.float32)})
    found = Found(rng.integers(-1, 8, 200), rng.normal(size=(200, 5)).astype(np.float32))
    scores = score(found, cells)
    embedding, labels, batches = scores["total"]
    np.testing.assert_array_equal(embedding, found.embedding[10:])
    known = obs.iloc[10:]
    assert (list(labels), list(batches)) == (list(known["cell_type"]), list(known["batch"]))
    taken = found.assignment[10:] >= 0
    assert scores["assigned"] == pytest.approx(taken.mean())
    expected = metacell_scores(found.assignment[10:][taken], known["cell_type"][taken], known["batch"][taken])
    assert {name: scores[name] for name in expected} == expected
    assert {"inv", "dubious_rate_within_batch", "compactness_variance"} <= set(scores)
    assert not {"total", "corr_weighted"} & set(score(Found(found.assignment, None), cells))


def test_a_result_that_cannot_be_scored_keeps_its_row(results):
    folder = results / "out" / "runs" / "atlas" / "pca_k12_seed0"
    with np.load(folder / "result.npz") as arrays:
        broken = {**arrays, "embedding": np.full_like(arrays["embedding"], np.nan)}
    np.savez(folder / "result.npz", **broken)
    call(results, "--seeds", "0", "--rescore")
    table = pd.read_csv(results / "out" / "scores.csv")
    assert table["status"][0].startswith("not scored: The embedding holds NaN")


def test_bad_input_ends_in_one_sentence(results):
    with pytest.raises(SystemExit, match="give a number from 2"):
        call(results, "--n-prototypes", "1")


@pytest.mark.slow
def test_scproto_is_compared_by_its_command(results):
    call(results, "--seeds", "0", "--methods", "scproto")
    table = pd.read_csv(results / "out" / "scores.csv").set_index("method")
    assert table.loc["scproto", "status"] == "ok"
    assert table.loc["scproto", "assigned"] == 1
    assert table.loc["scproto", "n_metacells"] <= 12
    assert table.loc["scproto", "total"] > 0
