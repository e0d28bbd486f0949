from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from sklearn.metrics import roc_auc_score

from scproto import tl
from scproto._errors import InputError
from scproto.model import SCPROTO

COLUMNS = ["scproto_cell_type", "scproto_cell_type_probability", "scproto_cell_type_set", "scproto_cell_type_fit"]


@pytest.fixture(scope="module")
def labelled(atlas: AnnData) -> AnnData:
    cells = atlas.copy()
    types = cells.obs["cell_type"].astype(str)
    cells.obs["lineage"] = np.where(types == types.unique()[0], "one", "two")
    return cells


@pytest.fixture(scope="module")
def annotated(model: SCPROTO, labelled: AnnData, tmp_path_factory) -> SCPROTO:
    """The model with two columns of labels, after it was saved and loaded."""
    model.save(folder := tmp_path_factory.mktemp("labels") / "model")
    own = SCPROTO.load(folder)
    tl.learn_labels(labelled, own, ["lineage", "cell_type"])
    own.save(folder, overwrite=True)
    return SCPROTO.load(folder)


@pytest.fixture
def query(labelled: AnnData) -> AnnData:
    cells = labelled[::2].copy()
    cells.obs["batch"] = "new"
    return cells


def test_labels_are_right_and_probabilities_sum_to_one(annotated, query):
    found = tl.map_query(query, annotated)
    tl.transfer_labels(query, annotated, "cell_type", query=found)
    assert (query.obs["scproto_cell_type"].astype(str) == query.obs["cell_type"].astype(str)).mean() > 0.9
    table = query.obsm["scproto_cell_type_probabilities"]
    np.testing.assert_allclose(table.sum(axis=1), 1, rtol=1e-5)
    best = query.obs["scproto_cell_type_probability"]
    np.testing.assert_allclose(best, table.max(axis=1), rtol=1e-6)
    holds = [
        own in members.split(" | ") for own, members in zip(table.idxmax(axis=1), query.obs[COLUMNS[2]], strict=True)
    ]
    assert all(holds)


def test_the_fine_label_never_contradicts_the_coarse_one(annotated, query, labelled):
    tl.transfer_labels(query, annotated, ["lineage", "cell_type"], unknown_below=0)
    lineage = labelled.obs.drop_duplicates("cell_type").set_index("cell_type")["lineage"]
    assert (query.obs["scproto_cell_type"].astype(str).map(lineage) == query.obs["scproto_lineage"].astype(str)).all()


def test_without_a_query_the_cells_are_mapped_again(annotated, query):
    again = query.copy()
    tl.transfer_labels(query, annotated, "cell_type", query=tl.map_query(query, annotated))
    tl.map_query(again, annotated)
    tl.transfer_labels(again, annotated, "cell_type")
    pd.testing.assert_frame_equal(again.obs[COLUMNS], query.obs[COLUMNS])


def test_saved_labels_are_those_that_were_learnt(annotated, labelled, model, query, tmp_path):
    annotated.save(tmp_path / "again")
    again, other = SCPROTO.load(tmp_path / "again"), query.copy()
    for cells, one in ((query, annotated), (other, again)):
        tl.transfer_labels(cells, one, "cell_type")
    pd.testing.assert_frame_equal(other.obs[COLUMNS], query.obs[COLUMNS])
    assert not model.annotations


def test_a_type_that_the_reference_lacks_is_unknown(labelled, model, tmp_path):
    model.save(tmp_path / "model")
    own = SCPROTO.load(tmp_path / "model")
    missing = str(labelled.obs["cell_type"].value_counts().index[0])
    known = labelled[(labelled.obs["cell_type"] != missing).to_numpy()].copy()
    tl.learn_labels(known, own, "cell_type")
    query = labelled.copy()
    query.obs["batch"] = "new"
    tl.map_query(query, own)
    tl.transfer_labels(query, own, "cell_type")
    new = (query.obs["cell_type"] == missing).to_numpy()
    assert roc_auc_score(new, -query.obs["scproto_cell_type_fit"]) > 0.8
    often = query.copy()
    tl.transfer_labels(often, own, "cell_type", unknown_below=0.3)
    unknown = (often.obs["scproto_cell_type"] == "unknown").to_numpy()
    assert unknown[new].mean() > 2 * unknown[~new].mean()


def test_cells_without_a_label_are_left_out(labelled, model, tmp_path):
    model.save(tmp_path / "model")
    own = SCPROTO.load(tmp_path / "model")
    some = labelled.copy()
    some.obs["cell_type"] = some.obs["cell_type"].astype(object).where(np.arange(some.n_obs) % 3 > 0)
    tl.learn_labels(some, own, "cell_type")
    assert own.annotations["cell_type"].composition.sum() == some.obs["cell_type"].notna().sum()


def test_reasons_name_metacells_labels_and_genes(annotated, query):
    tl.map_query(query, annotated)
    tl.transfer_labels(query, annotated, "cell_type")
    reasons = tl.explain_labels(query, annotated, "cell_type", list(query.obs_names[:3]))
    assert list(reasons.columns) == ["label", "probability", "runner_up", "metacells", "genes"]
    assert (reasons["label"] == query.obs["scproto_cell_type"].astype(str)[:3]).all()
    assert reasons["metacells"].str.contains("metacell_").all()
    assert set(", ".join(reasons["genes"]).split(", ")) <= set(annotated.gene_names)


def test_labels_leave_the_results_of_the_fit_alone(annotated, atlas, model):
    np.testing.assert_array_equal(annotated.get_latent_representation(atlas), model.get_latent_representation())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda q, m: tl.transfer_labels(q, m, "tissue"), "has not learnt the labels of 'tissue'"),
        (lambda q, m: tl.transfer_labels(q, m, "cell_type", coverage=1.5), "coverage=1.5 is out of range"),
        (lambda q, m: tl.learn_labels(q, m, "tissue"), "no column 'tissue' in obs"),
        (lambda q, m: tl.learn_labels(q, m, "batch"), "has 1 labels"),
        (lambda q, m: tl.explain_labels(q, m, "cell_type", ["c"]), "is missing: call"),
    ],
)
def test_what_cannot_be_done_is_refused(annotated, query, call, message):
    with pytest.raises(InputError, match=message):
        call(query, annotated)
