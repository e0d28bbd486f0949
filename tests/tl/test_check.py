from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

from scproto import _keys
from scproto._errors import InputError
from scproto.tl import check

N_BATCHES, N_TYPES, N_EACH = 2, 4, 40


@pytest.fixture
def cells() -> AnnData:
    """Four types in two batches, metacells that are the types."""
    rng = np.random.default_rng(0)
    batch = np.repeat(np.arange(N_BATCHES), N_TYPES * N_EACH)
    kind = np.tile(np.repeat(np.arange(N_TYPES), N_EACH), N_BATCHES)
    points = (6 * rng.normal(size=(N_TYPES, 8)))[kind] + rng.normal(size=(len(kind), 8))
    obs = pd.DataFrame(
        {_keys.BATCH: pd.Categorical(batch.astype(str)), "kind": kind, _keys.CONFIDENCE: 0.9, _keys.OUTLIER: False},
        index=[f"c{i}" for i in range(len(kind))],
    )
    cells = AnnData(obs=obs, obsm={_keys.PCA: points}, uns={_keys.UNS: {}})
    return assigned(cells, kind)


def assigned(cells: AnnData, metacell: np.ndarray) -> AnnData:
    cells.obs[_keys.METACELL] = pd.Categorical([f"metacell_{m}" for m in metacell])
    cells.uns[_keys.UNS]["n_metacells"] = len(set(metacell))
    return cells


def test_a_good_fit(cells):
    found = check(cells)
    assert not found.over_mixed
    assert not found.under_mixed
    assert found.doubtful.empty
    assert found.sentences == [
        "All 4 metacells have cells.",
        "The metacells keep 100% of what k-means in each batch alone would tell apart, which is enough (85%).",
        "The batches disagree about 0% of the differences between metacells, which is little (up to 15%): no sign of "
        "over-mixing.",
        "0% of the cells have a partner in another batch that is missing from their metacell, and the median batch "
        "entropy of a metacell is 1.00: no sign of under-mixing (up to 15%).",
        "No metacell is doubtful.",
        "No cell lies far from every prototype.",
    ]
    assert str(found) == "\n".join(found.sentences)


def test_metacells_that_differ_by_noise_alone_can_be_written(cells):
    cells.obsm[_keys.PCA] = np.random.default_rng(0).normal(size=(cells.n_obs, 8))
    for seed in range(5):
        found = check(assigned(cells, np.random.default_rng(seed).integers(0, 4, cells.n_obs)))
        assert type(found.disagreement) is float
        json.dumps(found.to_json(), allow_nan=False)


def test_two_types_merged_across_the_batches_are_over_mixed(cells):
    kind, second = cells.obs["kind"].to_numpy(), (cells.obs[_keys.BATCH] == "1").to_numpy()
    found = check(assigned(cells, np.where(second & (kind < 2), 1 - kind, kind)))
    assert found.over_mixed
    assert not found.under_mixed
    assert set(found.doubtful.index) == {"metacell_0", "metacell_1"}
    assert found.doubtful["batches_disagree"].all()
    assert "over-mixed, some metacells hold different populations" in str(found)
    assert "align less (n_alignment=1 or 0; default 10), and see whether the batches share cell types" in str(found)


def test_types_lumped_together_are_over_mixed(cells):
    metacell = np.where(np.arange(cells.n_obs) % 2, 0, cells.obs["kind"] + 1)
    found = check(assigned(cells, metacell))
    assert found.over_mixed
    assert "different cells are lumped together; train longer (max_steps), or align less (n_alignment=1" in str(found)


def test_metacells_of_one_batch_each_are_under_mixed(cells):
    private = cells.obs["kind"].to_numpy() * 2 + (cells.obs[_keys.BATCH] == "1")
    found = check(assigned(cells, private))
    assert found.under_mixed
    assert not found.over_mixed
    assert found.entropy == (0, 0, 0)
    assert found.doubtful["one_batch"].sum() == 8
    assert "under-mixed (more than 15%)" in str(found)
    assert "8 of 8 metacells are doubtful (8 of one batch only)" in str(found)


def test_reasons_for_doubt(cells):
    metacell = cells.obs["kind"].to_numpy().copy()
    small = np.r_[0:4, 160:164]
    metacell[small] = 4
    cells.obs.loc[cells.obs_names[small], _keys.CONFIDENCE] = 0.2
    cells.obs.loc[cells.obs["kind"] == 3, _keys.OUTLIER] = np.arange(80) % 4 == 0
    found = check(assigned(cells, metacell))
    assert found.doubtful.index.tolist() == ["metacell_4", "metacell_3"]
    reasons = {name: list(row.index[row]) for name, row in found.doubtful.iterrows()}
    assert reasons == {"metacell_4": ["few_cells", "low_confidence"], "metacell_3": ["outliers"]}
    assert found.n_outliers == 20
    assert "20 cells (6.2%) lie far from every prototype" in str(found)


def test_unused_prototypes(cells):
    cells.uns[_keys.UNS]["n_metacells"] = 8
    assert check(cells).sentences[0].startswith("Only 4 of 8 metacells have cells: take fewer prototypes")


def test_one_batch(cells):
    cells.obs[_keys.BATCH] = pd.Categorical(["all"] * cells.n_obs)
    found = check(cells)
    assert len(found.sentences) == 4
    assert not found.over_mixed
    assert not found.under_mixed
    assert "batch entropy" not in str(found)


def test_json_holds_numbers_and_words(cells):
    kept = json.loads(json.dumps(check(cells).to_json(), allow_nan=False))
    assert kept["over_mixed"] is False
    assert kept["sentences"] == check(cells).sentences
    assert kept["doubtful"] == {}


def test_nothing_is_changed(cells):
    before = cells.copy()
    check(cells)
    pd.testing.assert_frame_equal(cells.obs, before.obs)
    assert cells.uns == before.uns


@pytest.mark.parametrize("missing", ["metacells", "PCA"])
def test_what_is_missing_is_named(cells, missing):
    if missing == "PCA":
        del cells.obsm[_keys.PCA]
    else:
        del cells.obs[_keys.METACELL]
    with pytest.raises(InputError, match=r"run scproto\.(pp\.prepare|tl\.assign_metacells)"):
        check(cells)
