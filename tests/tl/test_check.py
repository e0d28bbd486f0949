from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from sklearn.cluster import KMeans

from scproto import _keys
from scproto._errors import InputError
from scproto.tl import check

N_BATCHES, N_TYPES, N_EACH = 2, 4, 40


@pytest.fixture
def cells() -> AnnData:
    """Four types in two batches; each type is one metacell."""
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
        "The metacells keep 100% of the structure that k-means finds in each batch, which is enough (at least 85%).",
        "The batches disagree on 0% of the differences between metacells, which is little (at most 15%): no sign of "
        "over-mixing.",
        "On average, 0% of the partners that a cell has in other batches sit in metacells that hold other batches "
        "than its own, and the median batch entropy of the metacells is 1.00: no sign of under-mixing (at most 25% "
        "of the partners).",
        "No metacell is doubtful.",
        "No cell lies far from every prototype.",
    ]
    assert str(found) == "\n".join(found.sentences)


def test_metacells_that_differ_only_by_noise_can_be_written(cells):
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
    assert "over-mixed, and some metacells hold different populations" in str(found)
    assert "align less (n_alignment=1 or 0; the default is 10), and check whether the batches share" in str(found)


def test_types_lumped_together_are_over_mixed(cells):
    metacell = np.where(np.arange(cells.n_obs) % 2, 0, cells.obs["kind"] + 1)
    found = check(assigned(cells, metacell))
    assert found.over_mixed
    assert "they lump different cells together; train longer (max_steps), or align less (n_alignment=1" in str(found)


def test_metacells_of_one_batch_each_are_under_mixed(cells):
    private = cells.obs["kind"].to_numpy() * 2 + (cells.obs[_keys.BATCH] == "1")
    found = check(assigned(cells, private))
    assert found.under_mixed
    assert not found.over_mixed
    assert found.entropy == (0, 0, 0)
    assert found.doubtful["one_batch"].sum() == 8
    assert "under-mixed (more than 25% of the partners)" in str(found)
    assert "8 of 8 metacells are doubtful (8 with only one batch)" in str(found)


@pytest.fixture(scope="module")
def atlas() -> AnnData:
    """4,800 cells of 40 batches from five studies: one cell per batch and metacell if there are 120 metacells."""
    rng = np.random.default_rng(0)
    batch, kind = rng.integers(0, 40, 4800), rng.integers(0, 6, 4800)
    state = 2 * rng.normal(size=(4800, 2))
    points = (2 * rng.normal(size=(6, 20)))[kind] + np.einsum(
        "cs,csd->cd", state, (rng.normal(size=(6, 2, 20)) / 4)[kind]
    )
    points += (0.7 * rng.normal(size=(40, 20)))[batch] + (0.7 * rng.normal(size=(5, 20)))[batch % 5]
    obs = {_keys.BATCH: batch.astype(str), "batch": batch, "kind": kind, _keys.CONFIDENCE: 0.9, _keys.OUTLIER: False}
    obs = pd.DataFrame(obs, index=[f"c{i}" for i in range(4800)])
    pca = points + rng.normal(size=points.shape)
    return AnnData(obs=obs, obsm={_keys.PCA: pca, "state": state}, uns={_keys.UNS: {}})


def clustered(group: np.ndarray, state: np.ndarray) -> np.ndarray:
    """About 120 metacells: k-means of the states within each group."""
    metacell = np.empty(len(group), dtype=int)
    names = np.unique(group)
    for i, name in enumerate(names):
        model = KMeans(120 // len(names), n_init=1, max_iter=10, random_state=0)
        metacell[group == name] = 120 * i + model.fit_predict(state[group == name])
    return metacell


def test_good_metacells_of_many_batches_are_good(atlas):
    found = check(assigned(atlas, clustered(atlas.obs["kind"], atlas.obsm["state"])))
    assert not found.over_mixed
    assert not found.under_mixed
    assert not found.doubtful[["one_batch", "batches_disagree"]].any(axis=None)


@pytest.mark.parametrize("group", ["one_batch", "one_study", "not_integrated"])
def test_many_batches_that_are_not_mixed_are_under_mixed(atlas, group):
    batch, kind = atlas.obs["batch"].to_numpy(), atlas.obs["kind"].to_numpy()
    metacell = {
        "one_batch": lambda: batch,
        "one_study": lambda: clustered(batch % 5 * 6 + kind, atlas.obsm["state"]),
        "not_integrated": lambda: clustered(0 * batch, atlas.obsm[_keys.PCA]),
    }[group]()
    assert check(assigned(atlas, metacell)).under_mixed


@pytest.mark.parametrize("group", ["merged", "exchanged"])
def test_mixed_types_of_many_batches_are_over_mixed(atlas, group):
    batch, kind = atlas.obs["batch"].to_numpy(), atlas.obs["kind"].to_numpy()
    wrong = kind // 2 if group == "merged" else np.where(batch < 20, (kind + 1) % 6, kind)
    found = check(assigned(atlas, clustered(wrong, atlas.obsm["state"])))
    assert found.over_mixed
    assert not found.under_mixed
    assert (found.structure_kept < 0.85) == (group == "merged")
    assert (found.disagreement > 0.15) == (group == "exchanged")


def test_one_batch_by_chance_is_no_reason_for_doubt(cells):
    """Of ten cells, eight in ten lack a batch that has 2 % of the cells."""
    small = np.arange(cells.n_obs) % 50 == 0
    cells.obs[_keys.BATCH] = pd.Categorical(np.where(small, "small", "large"))
    assert not check(assigned(cells, np.arange(cells.n_obs) // 10)).doubtful["one_batch"].any()


def test_doubtful_metacells_have_their_reasons(cells):
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


def test_unused_prototypes_are_reported(cells):
    cells.uns[_keys.UNS]["n_metacells"] = 8
    assert check(cells).sentences[0].startswith("Only 4 of 8 metacells have cells: use fewer prototypes")


def test_one_batch_gets_no_sentences_on_mixing(cells):
    cells.obs[_keys.BATCH] = pd.Categorical(["all"] * cells.n_obs)
    found = check(cells)
    assert len(found.sentences) == 4
    assert not found.over_mixed
    assert not found.under_mixed
    assert "batch entropy" not in str(found)


def with_stability(cells: AnnData, overlap: list[float], *, trained: bool = False) -> AnnData:
    names = np.array([f"metacell_{i}" for i in range(len(overlap))], dtype=object)
    cells.uns[_keys.UNS][_keys.STABILITY] = {
        "agreement": 0.75,
        "n_others": 4,
        "trained": trained,
        "metacell": names,
        "overlap": np.array(overlap),
    }
    return cells


@pytest.mark.parametrize("trained", [False, True])
def test_stability_is_told_and_does_not_change_the_verdict(cells, trained):
    before = check(cells)
    found = check(with_stability(cells, [0.8, 0.45, 0.9, 0.2], trained=trained))
    assert (found.over_mixed, found.under_mixed) == (before.over_mixed, before.under_mixed)
    [sentence] = set(found.sentences) - {*before.sentences, found._doubts()}
    start = "With another seed, 2" if trained else "With another seed of the last k-means, 2"
    assert sentence.startswith(f"{start} of 4 metacells would not come back")
    assert "agree by 0.75 (adjusted mutual information" in sentence
    assert ("--seeds 3" in sentence) != trained
    assert found.doubtful.index.tolist() == ["metacell_3"]  # the other is not far below the median
    assert "1 of 4 metacells are doubtful (1 that are unstable)" in str(found)
    kept = json.loads(json.dumps(found.to_json(), allow_nan=False))["stability"]
    assert kept == {"agreement": 0.75, "n_others": 4, "trained": trained, "n_dissolved": 2}


def test_json_holds_numbers_and_sentences(cells):
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
def test_the_error_says_how_to_add_what_is_missing(cells, missing):
    if missing == "PCA":
        del cells.obsm[_keys.PCA]
    else:
        del cells.obs[_keys.METACELL]
    with pytest.raises(InputError, match=r"run scproto\.(pp\.prepare|tl\.assign_metacells)"):
        check(cells)
