from __future__ import annotations

import json
import sys

import denoise
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData, read_h5ad
from heldout import score_all
from scipy import sparse
from split import N_DECOYS


@pytest.fixture(scope="module")
def results(_tiny_atlas, tmp_path_factory):
    folder = tmp_path_factory.mktemp("denoising")
    _tiny_atlas.write_h5ad(folder / "atlas.h5ad")
    call(folder, "--seeds", "0", "1")
    return folder


def call(folder, *options: str) -> None:
    always = [folder / "atlas.h5ad", "--out", folder / "out", "--n-genes", "80", "--methods", "none", "knn"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["denoise.py", *map(str, always), *options])
        denoise.main()


def test_tables_hold_every_denoised_table_of_every_run(results):
    table = pd.read_csv(results / "out" / "scores.csv")
    names = ["counts", "mean", "mean of logs", "mean, log1p"]
    assert sorted(zip(table["table"], table["seed"], strict=True)) == [(n, s) for n in names for s in (0, 1)]
    assert (table["status"] == "ok").all()
    assert table[["mse", "poisson", "poisson_swapped", "decoy_de"]].notna().all(axis=None)
    by_name = table.set_index(["table", "seed"])
    assert (by_name.loc["mean", "poisson"] < by_name.loc["counts", "poisson"]).all()
    assert (by_name.loc["mean, log1p", "mse"] < by_name.loc["mean", "mse"]).all()
    written = json.loads((results / "out" / "scores.json").read_text())
    assert len(written["rows"]) == len(table)
    assert written["versions"]["knn"]["scikit-learn"]
    assert not list((results / "out").rglob("*.npz"))


def test_both_parts_are_the_counts_of_the_largest_batch(results, tiny_atlas):
    seen, held_out = (read_h5ad(results / "out" / "inputs" / f"atlas_g80_seed0_{p}.h5ad") for p in ("seen", "held_out"))
    largest = tiny_atlas[tiny_atlas.obs["batch"] == tiny_atlas.obs["batch"].value_counts().index[0]]
    decoy = seen.var["decoy"].to_numpy()
    assert seen.obs_names.equals(largest.obs_names)
    assert "cell_type" not in seen.obs
    assert (~decoy).sum() == held_out.n_vars == 80
    both = seen[:, ~decoy].X + held_out.X
    assert (both != largest[:, held_out.var_names].X).sum() == 0
    assert held_out.X.sum() / both.sum() == pytest.approx(0.1, abs=0.01)
    assert decoy.sum() == N_DECOYS
    for name in seen.var_names[decoy]:  # the same counts in other cells
        shuffled, original = (seen[:, n].X.toarray().ravel() for n in (name, name.removeprefix("decoy_")))
        assert not np.array_equal(shuffled, original)
        np.testing.assert_array_equal(np.sort(shuffled), np.sort(original))


def test_the_true_rates_score_well():
    rng = np.random.default_rng(0)
    labels = np.repeat(["B", "NK"], 100)
    rate = np.column_stack([np.where(labels == "B", 3.0, 0.2), np.where(labels == "NK", 4.0, 0.2), np.ones((200, 10))])
    decoys = rng.poisson(2.0, (200, 5))
    genes = ["CD79A", "GNLY", *(f"gene_{i}" for i in range(10))]
    is_decoy = np.arange(17) >= 12
    names = [*genes, *(f"decoy_{i}" for i in range(5))]
    counts = np.column_stack([rng.poisson(9 * rate), decoys])
    seen = AnnData(_sparse(counts), var=pd.DataFrame({"decoy": is_decoy}, index=names))
    obs = pd.DataFrame({"cell_type": labels}, index=seen.obs_names)
    held_out = AnnData(_sparse(rng.poisson(rate)), obs, pd.DataFrame(index=genes))
    found = score_all({"counts": counts, "mean": np.column_stack([9 * rate, decoys])}, seen, held_out, 0)
    assert set(found) == {"counts", "mean", "mean, log1p"}
    assert found["mean"]["poisson"] < found["counts"]["poisson"]
    assert found["mean"]["auroc"] == found["mean"]["auroc_GNLY"] == 1
    assert found["counts"]["decoy_correlation"] < 0.2
    assert found["mean"]["permuted_de_mean"] == pytest.approx(0.05, abs=0.05)


def _sparse(counts):
    return sparse.csr_matrix(counts.astype(np.float32))


def test_the_lowest_errors_are_bold_and_missing_seeds_are_reported():
    columns = ["method", "table", "seeds", "mse_mean", "mse_sd", "poisson_mean", "poisson_sd"]
    rows = [["none", "counts", 2, 0.5, 0.1, 0.3, 0.1], ["scproto", "chosen, mean", 1, 0.4, None, 0.2, None]]
    summary = pd.DataFrame(rows, columns=columns).assign(data="a")
    lines = denoise.markdown(summary).splitlines()
    assert lines[2:] == [
        "| no denoising: counts | 0.5000 ± 0.1000 | 0.30000 ± 0.10000 |",
        "| scproto: chosen, mean (1 seed) | **0.4000** | **0.20000** |",
    ]
    assert "| scproto: chosen, mean | **0.4000** | **0.20000** |" in denoise.in_short(summary, {"a": "A"})
