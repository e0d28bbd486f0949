from __future__ import annotations

import sys

import numpy as np
import pandas as pd
import pytest
from scipy.stats import false_discovery_control, hypergeom

from scproto._errors import InputError
from scproto.tl import attribute_prototype_genes, enrich_prototype_genes, rank_prototype_genes, rank_split_genes
from scproto.tl.enrichment import known_sets

BACKGROUND = [f"g{i}" for i in range(60)]
SETS = {
    "first": [f"g{i}" for i in range(8)] + ["unknown"],
    "spread": [f"g{i}" for i in range(0, 60, 7)],
    "elsewhere": [f"g{i}" for i in range(50, 60)],
    "small": ["g0", "g1", "unknown"],
}
COLUMNS = ["gene_set", "n_overlap", "n_set", "log_odds_ratio", "pvals", "pvals_adj", "genes"]


def genes(**lists: list[int]) -> pd.DataFrame:
    """Table of ranked genes, given the numbers of each metacell's genes."""
    lines = [(name, "rest", f"g{i}") for name, numbers in lists.items() for i in numbers]
    return pd.DataFrame(lines, columns=["group", "reference", "names"])


@pytest.fixture
def decoupler() -> None:
    pytest.importorskip("decoupler")


WITH_DECOUPLER = pytest.mark.usefixtures("decoupler")


@WITH_DECOUPLER
def test_the_table_equals_a_loop():
    lists = {"m10": [0, 1, 2, 3, 20, 30], "m2": [7, 14, 15, 16], "m3": [40, 41]}
    table = enrich_prototype_genes(genes(**lists), SETS, BACKGROUND)
    expected, p_values = [], []
    for group, numbers in lists.items():
        features = {f"g{i}" for i in numbers}
        for name in ("elsewhere", "first", "spread"):  # the small set has only two known genes
            known = [gene for gene in SETS[name] if gene in BACKGROUND]
            shared = [gene for gene in known if gene in features]
            a, b, c = len(shared), len(known) - len(shared), len(features) - len(shared)
            p = hypergeom.sf(a - 1, 60, len(known), len(features))
            p_values.append(p if a else 1.0)
            odds = np.log((a + 0.5) * (60 - a - b - c + 0.5) / ((b + 0.5) * (c + 0.5)))
            if a:
                expected.append((group, "rest", name, a, len(known), odds, p, len(p_values) - 1, ", ".join(shared)))
    expected = pd.DataFrame(expected, columns=["group", "reference", *COLUMNS])
    expected["pvals_adj"] = false_discovery_control(p_values)[expected["pvals_adj"]]
    expected["order"] = pd.Categorical(expected["group"], list(lists)).codes
    expected = expected.sort_values(["order", "pvals"]).drop(columns="order").reset_index(drop=True)
    assert table["group"].cat.categories.tolist() == ["m10", "m2"]
    found = table.astype({"group": str, "reference": str})
    pd.testing.assert_frame_equal(found, expected, check_dtype=False)
    assert table.loc[0, "gene_set"] == "first"
    assert table.loc[0, "pvals_adj"] < 0.05


@WITH_DECOUPLER
def test_gene_sets_may_be_a_data_frame():
    pairs = [(name, gene) for name, members in SETS.items() for gene in members]
    frame = pd.DataFrame(pairs + pairs[:3], columns=["source", "target"]).assign(weight=1.0)
    listed = genes(m0=[0, 1, 2], m1=[55, 7])
    pd.testing.assert_frame_equal(
        enrich_prototype_genes(listed, frame, BACKGROUND), enrich_prototype_genes(listed, SETS, iter(BACKGROUND))
    )


@WITH_DECOUPLER
@pytest.mark.parametrize("listed", [genes(m0=[40, 41]), genes()], ids=["no gene in common", "no gene"])
def test_without_a_gene_in_common_the_table_is_empty(listed):
    table = enrich_prototype_genes(listed, SETS, BACKGROUND)
    assert table.empty
    assert table.columns.tolist() == ["group", "reference", *COLUMNS]


@WITH_DECOUPLER
def test_a_set_of_all_genes_is_not_enriched():
    table = enrich_prototype_genes(genes(m0=[3, 4]), {"all": BACKGROUND}, BACKGROUND)
    assert table["pvals"].tolist() == table["pvals_adj"].tolist() == [1.0]


@WITH_DECOUPLER
def test_every_kind_of_table_works(atlas, model, metacells):
    profile = atlas.varm["type_profile"].loc[model.gene_names]
    marks = {kind: profile.index[profile[kind] > 1.5 * profile.drop(columns=kind).max(axis=1)] for kind in profile}
    for table, key in (
        (rank_prototype_genes(model), "reference"),
        (attribute_prototype_genes(model), "evidence"),
        (rank_split_genes(metacells), "reference"),
    ):
        found = enrich_prototype_genes(table, marks, model.gene_names)
        assert found.columns.tolist() == ["group", key, *COLUMNS]
        assert found["pvals"].between(0, 1).all()
    markers = rank_prototype_genes(model, n_genes=10)
    found = enrich_prototype_genes(markers[markers["reference"] == "rest"], marks, model.gene_names)
    best = found.drop_duplicates("group").set_index("group")["gene_set"]
    for name, kind in metacells.obs["cell_type"].items():
        assert best[name] == kind


def test_sets_with_few_known_genes_are_left_out():
    sets = known_sets(SETS, set(BACKGROUND), 5)
    assert sets.groupby("source").size().to_dict() == {"elsewhere": 10, "first": 8, "spread": 9}
    assert set(known_sets(SETS, set(BACKGROUND), 2)["source"]) == set(SETS)


def test_errors_name_the_bad_input():
    listed = genes(m0=[0, 1])
    with pytest.raises(InputError, match='needs the columns "group" and "names"'):
        enrich_prototype_genes(listed.drop(columns="names"), SETS, BACKGROUND)
    with pytest.raises(InputError, match="1 ranked genes are not in the background, such as 'g1'"):
        enrich_prototype_genes(listed, SETS, ["g0", "g2"])
    with pytest.raises(InputError, match="No gene set has 20 of the 60 genes"):
        enrich_prototype_genes(listed, SETS, BACKGROUND, min_genes=20)
    with pytest.raises(InputError, match="no column 'target'"):
        enrich_prototype_genes(listed, pd.DataFrame({"source": ["a"]}), BACKGROUND)
    with pytest.raises(InputError, match="min_genes=0"):
        enrich_prototype_genes(listed, SETS, BACKGROUND, min_genes=0)


def test_without_decoupler_the_error_says_how_to_install_it(monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "decoupler"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "decoupler", None)
    with pytest.raises(ImportError, match=r'needs decoupler: pip install "scproto\[explain\]"\.'):
        enrich_prototype_genes(genes(m0=[0, 1]), SETS, BACKGROUND)


def test_a_set_may_be_the_name_of_one_gene():
    assert known_sets({"one": "g1"}, set(BACKGROUND), 1)["target"].tolist() == ["g1"]
