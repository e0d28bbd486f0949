from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import scproto
from scproto import _keys
from scproto.pl.colors import group
from scproto.reporting import payload
from scproto.reporting.encode import to_script


def read(text: str, dtype: str) -> np.ndarray:
    return np.frombuffer(b64decode(text), dtype)


def gather(cells, metacells, label_key="cell_type"):
    label = None if label_key is None else group(cells.obs[label_key].astype("category"))
    return payload.gather(cells, metacells, group(cells.obs[_keys.BATCH]), label, label_key)


def test_coordinates_of_cells_and_metacells_share_a_scale(make_run: Callable) -> None:
    cells, metacells, _ = make_run()
    found = gather(cells, metacells)
    ours = np.concatenate(
        [np.stack([read(found[kind][axis], "<u2") for axis in "xy"], axis=1) for kind in ("cells", "metacells")]
    )
    order = np.random.default_rng(0).permutation(cells.n_obs)
    given = np.concatenate([cells.obsm[_keys.UMAP][order], metacells.obsm[_keys.UMAP]])
    span = np.ptp(given, axis=0).max()
    np.testing.assert_allclose(ours / 65535 * span, given - given.min(axis=0), atol=span / 65535)
    np.testing.assert_array_equal(
        read(found["cells"]["batch"], "u1"), cells.obs[_keys.BATCH].cat.codes.to_numpy()[order]
    )


def test_only_a_sample_of_many_cells_is_drawn(make_run: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(payload, "MAX_CELLS", 30)
    cells, metacells, _ = make_run()
    found = gather(cells, metacells)["cells"]
    assert found["n"] == 80
    assert len(read(found["x"], "<u2")) == len(read(found["label"], "u1")) == 30


def test_cells_and_metacells_share_the_colours_of_labels(make_run: Callable) -> None:
    cells, metacells, _ = make_run()
    metacells.obs["cell_type"] = pd.Categorical(["T", "B", None, "T"])
    found = gather(cells, metacells)
    assert found["labels"]["names"] == ["B", "T"]
    assert found["metacells"]["label"] == [1, 0, -1, 1]
    assert found["metacells"]["majority"] == ["T", "B", None, "T"]
    assert gather(cells, metacells, None)["labels"] is None


def test_all_shares_are_kept_and_small_batches_share_a_grey(make_run: Callable) -> None:
    cells, metacells, _ = make_run(n_metacells=8, batches=tuple(f"b{i}" for i in range(40)))
    cells.obs[_keys.BATCH] = pd.Categorical.from_codes(np.arange(160) % 40, [f"b{i}" for i in range(40)])
    found = gather(cells, metacells)["batches"]
    assert len(found["names"]) == len(found["shares"]) == len(found["place"]) == 40
    assert len(found["colors"]) == 30
    assert found["shown"][-1] == "11 others"
    assert found["place"].count(29) == 11
    np.testing.assert_allclose(np.sum(found["shares"], axis=0), 1)


def test_a_batch_without_cells_is_grey(make_run: Callable) -> None:
    cells, metacells, _ = make_run()
    found = gather(cells[cells.obs[_keys.BATCH] == "lab b"].copy(), metacells)["batches"]
    assert (found["names"], found["place"]) == (["lab a", "lab b"], [1, 0])
    assert found["shown"] == ["lab b", "others"]


def test_expression_can_be_decoded(make_run: Callable) -> None:
    _, metacells, _ = make_run()
    found = payload.genes(metacells)
    assert sorted(found["names"]) == sorted(metacells.var_names)
    assert found["names"][-1] == "ACTB"  # not decoded
    assert (found["decoded"], found["total"]) == (5, 6)
    codes = read(found["codes"], "u1").reshape(6, 4)
    high = np.array(found["high"])[:, None]
    given = np.log1p(metacells[:, found["names"]].layers["decoded"].T)
    np.testing.assert_allclose(codes / 255 * high, given, atol=high.max() / 255)


def test_genes_that_do_not_fit_are_left_out_except_top_genes(make_run: Callable) -> None:
    _, metacells, _ = make_run()
    found = payload.genes(metacells, max_bytes=1)
    named = {gene for key in ("rest", "siblings") for row in found[key] for gene, _ in row}
    assert named == set(range(len(found["names"])))


def test_top_genes_equal_those_of_rank_prototype_genes(tiny_atlas) -> None:
    scproto.pp.prepare(tiny_atlas, batch_key="batch")
    scproto.SCPROTO.setup_anndata(tiny_atlas, batch_key="batch")
    model = scproto.SCPROTO(tiny_atlas, n_prototypes=8)
    model.train(max_steps=60, accelerator="cpu", enable_progress_bar=False)
    metacells = model.get_metacells()
    ranked = scproto.tl.rank_prototype_genes(model, n_genes=payload.N_TOP)
    found = payload.top_genes(metacells)
    for (reference, name), table in ranked.groupby(["reference", "group"], observed=True):
        table = table[table["logfoldchanges"] > 0]
        top = found[reference][metacells.obs_names.get_loc(name)]
        assert [metacells.var_names[gene] for gene, _ in top] == table["names"].tolist()
        np.testing.assert_allclose([fold for _, fold in top], table["logfoldchanges"], atol=0.006)


def test_the_payload_of_50_000_cells_stays_small() -> None:
    rng = np.random.default_rng(0)
    n_metacells, n_genes = 667, 20_000
    names = [f"metacell_{i}" for i in range(n_metacells)]
    metacell = rng.integers(0, n_metacells, 50_000)
    cells = AnnData(
        obs=pd.DataFrame(
            {
                _keys.METACELL: pd.Categorical.from_codes(metacell, names),
                _keys.BATCH: pd.Categorical.from_codes(metacell % 20, [f"study_{i}" for i in range(20)]),
            },
            index=[str(i) for i in range(50_000)],
        ),
        obsm={_keys.UMAP: rng.normal(size=(50_000, 2))},
    )
    prototypes = rng.normal(size=(n_metacells, 8)).astype(np.float32)
    values = rng.random((n_metacells, n_genes), dtype=np.float32)
    obs = pd.DataFrame({"n_cells": 75} | {f"share_study_{i}": 0.05 for i in range(20)}, index=names)
    metacells = AnnData(
        obs=obs,
        var=pd.DataFrame({_keys.GENES: np.arange(n_genes) < 2000}, index=[f"ENSG{i:011d}" for i in range(n_genes)]),
        obsm={_keys.LATENT: prototypes, _keys.UMAP: prototypes[:, :2]},
        layers={"decoded": values},
    )
    found = gather(cells, metacells, None)
    assert len(found["genes"]["names"]) == payload.MAX_EXPRESSION // n_metacells
    assert len(to_script(found)) < 6e6
