from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData, read_h5ad
from scipy import sparse

from scproto import _keys
from scproto.data.memory import MemoryCells
from scproto.metacells import assign
from scproto.metacells.tree import contract_tree, cut, tree_parents, ward_tree
from scproto.model.metacells import build_metacells
from scproto.model.placement import Placement

N_CELLS, N_GENES, N_PROTOTYPES = 40, 7, 6
MODELLED = np.array([True, False, True, True, False, True, True])


def unit_rows(x: np.ndarray) -> np.ndarray:
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def placement(unit: np.ndarray, prototypes: np.ndarray) -> Placement:
    """Cells and prototypes whose embedding is three times their first two coordinates on the hypersphere."""
    return Placement(3 * unit[:, :2], 3 * prototypes[:, :2], unit, prototypes)


class Example:
    """Cells of two batches and two types; the last prototype has no cell."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.prototypes = unit_rows(rng.normal(size=(N_PROTOTYPES, 4)))
        member = np.arange(N_CELLS) % (N_PROTOTYPES - 1)
        self.unit = unit_rows(self.prototypes[member] + 0.1 * rng.normal(size=(N_CELLS, 4)))
        self.assignment = assign(self.unit, self.prototypes)
        assert set(self.assignment.nearest) == set(range(N_PROTOTYPES - 1))
        self.counts = rng.poisson(2.0, (N_CELLS, N_GENES)).astype(np.float32)
        batch = np.where(rng.random(N_CELLS) < 0.3, "a", "b")
        batch[member == 0] = "b"  # metacell_0 comes from one batch
        kind = np.where(rng.random(N_CELLS) < 0.4, "B", "T")
        obs = pd.DataFrame({"batch": batch, "kind": pd.Categorical(kind)}, index=[f"c{i}" for i in range(N_CELLS)])
        self.cells = AnnData(obs=obs, var=pd.DataFrame({"symbol": "x"}, index=[f"g{i}" for i in range(N_GENES)]))
        self.batch = pd.Categorical(batch)
        self.decoded = rng.dirichlet(np.ones(MODELLED.sum()), N_PROTOTYPES).astype(np.float32)

    def build(self, **changes) -> AnnData:
        cells = changes.pop("cells", self.cells)
        counts, batch = changes.pop("counts", self.counts), changes.get("batch", self.batch)
        arguments = {
            "obs": cells.obs,
            "genes": cells.var_names,
            "source": MemoryCells(sparse.csr_matrix(counts), batch.codes.astype(np.int64)),
            "batch": batch,
            "placement": placement(changes.pop("unit", self.unit), changes.pop("prototypes", self.prototypes)),
            "level": cut(self.prototypes),
            "decoded": {None: self.decoded},
            "modelled": MODELLED,
            "label_keys": ["kind"],
        }
        return build_metacells(**arguments | changes)


@pytest.fixture
def example() -> Example:
    return Example()


def test_one_row_per_prototype_that_has_cells(example):
    metacells = example.build()
    assert metacells.obs_names.tolist() == [f"metacell_{i}" for i in range(5)]
    assert metacells.var_names.tolist() == example.cells.var_names.tolist()
    np.testing.assert_array_equal(metacells.var[_keys.GENES], MODELLED)
    np.testing.assert_array_equal(metacells.obsm[_keys.SPHERE], example.prototypes[:5])
    np.testing.assert_allclose(metacells.obsm[_keys.LATENT], 3 * example.prototypes[:5, :2], rtol=1e-6)


def test_counts_are_sums_of_the_cells(example):
    metacells = example.build()
    for i in range(5):
        cells = example.assignment.nearest == i
        np.testing.assert_array_equal(metacells.layers["counts"][i].toarray().ravel(), example.counts[cells].sum(0))
        assert metacells.obs["n_cells"].iloc[i] == cells.sum()
        assert metacells.obs["n_counts"].iloc[i] == example.counts[cells].sum()


def test_batch_shares_and_entropy(example):
    obs = example.build().obs
    sizes = {b: (example.batch == b).sum() for b in ("a", "b")}
    for i in range(5):
        of_cells = np.asarray(example.batch)[example.assignment.nearest == i]
        assert obs["share_a"].iloc[i] == pytest.approx((of_cells == "a").mean())
        assert obs["share_b"].iloc[i] == pytest.approx((of_cells == "b").mean())
        # each batch weighted to the same size
        weight = np.array([(of_cells == b).sum() / sizes[b] for b in sizes])
        weight /= weight.sum()
        entropy = -sum(w * np.log2(w) for w in weight if w > 0)
        assert obs["batch_entropy"].iloc[i] == pytest.approx(entropy, abs=1e-12)
    assert obs["batch_entropy"].iloc[0] == 0
    assert obs["batch_entropy"].between(0, 1).all()


def test_equal_shares_of_each_batch_have_entropy_one_whatever_their_sizes(example):
    nearest = np.array([0] * 3 + [1] * 3 + [0] * 17 + [1] * 17)
    batch = pd.Categorical(["a"] * 6 + ["b"] * 34)
    obs = example.build(batch=batch, unit=unit_rows(example.prototypes[nearest])).obs
    np.testing.assert_allclose(obs["batch_entropy"], 1)


def test_one_batch_has_nothing_to_mix(example):
    obs = example.build(batch=pd.Categorical(["all"] * N_CELLS)).obs
    assert (obs["share_all"] == 1).all()
    assert (obs["batch_entropy"] == 1).all()


def test_batch_without_cells_does_not_count(example):
    """The model knows a batch that these cells do not have."""
    obs = example.build(batch=example.batch.add_categories("c")).obs
    assert obs.get("share_c", pd.Series(0)).eq(0).all()
    np.testing.assert_allclose(obs["batch_entropy"], example.build().obs["batch_entropy"])


def test_labels_are_the_majority(example):
    obs = example.build().obs
    for i in range(5):
        labels = example.cells.obs["kind"][example.assignment.nearest == i].value_counts(normalize=True)
        assert obs["kind_share"].iloc[i] == pytest.approx(labels.max())
        assert labels[obs["kind"].iloc[i]] == labels.max()
    assert obs["kind"].dtype == "category"
    assert "kind" not in example.build(label_keys=()).obs


def test_missing_labels_do_not_vote(example):
    """The share is among the cells with a label; a metacell without labels has no share."""
    first, second = (example.assignment.nearest == i for i in (0, 1))
    kind = example.cells.obs["kind"].astype(object)
    kind[first] = np.nan
    kind[second] = np.where(np.arange(second.sum()) == 0, "B", None)
    example.cells.obs["kind"] = pd.Categorical(kind, categories=["B", "T"])
    obs = example.build().obs
    assert obs["kind"].isna().tolist() == [True, False, False, False, False]
    assert np.isnan(obs["kind_share"].iloc[0])
    assert (obs["kind"].iloc[1], obs["kind_share"].iloc[1]) == ("B", 1)


@pytest.mark.parametrize("missing", [[None] * N_CELLS, [np.nan] * N_CELLS], ids=["text", "number"])
def test_labels_that_are_all_missing(example, missing):
    example.cells.obs["kind"] = missing
    obs = example.build().obs
    assert obs["kind"].isna().all()
    assert obs["kind_share"].isna().all()


def test_confidence_is_the_mean_over_the_cells(example):
    obs = example.build().obs
    for i in range(5):
        mean = example.assignment.confidence[example.assignment.nearest == i].mean()
        assert obs["confidence"].iloc[i] == pytest.approx(mean, rel=1e-6)


def test_expression_is_decoded_and_completed_by_the_mean_of_the_cells(example):
    metacells = example.build()
    np.testing.assert_array_equal(metacells.X, metacells.layers["decoded"])
    np.testing.assert_allclose(metacells.X.sum(1), 1e4, rtol=1e-5)
    probability = example.assignment.probability.toarray()
    for i in range(5):
        mean = probability[:, i] @ example.counts
        mean = 1e4 * mean / mean.sum()
        np.testing.assert_allclose(metacells.X[i, ~MODELLED], mean[~MODELLED], rtol=1e-4)
        np.testing.assert_allclose(metacells.X[i, MODELLED], example.decoded[i] * mean[MODELLED].sum(), rtol=1e-4)


def test_expression_is_only_decoded_if_all_genes_are_modelled(example):
    shares = np.random.default_rng(1).dirichlet(np.ones(N_GENES), N_PROTOTYPES).astype(np.float32)
    metacells = example.build(decoded={None: shares}, modelled=np.ones(N_GENES, bool))
    np.testing.assert_allclose(metacells.X, 1e4 * shares[:5], rtol=1e-4)


def test_each_decoded_layer_is_kept(example):
    metacells = example.build(decoded={None: example.decoded, "a": example.decoded[::-1].copy()})
    assert set(metacells.layers) - {None} == {"decoded", "decoded_a", "counts"}  # None: X, as of anndata 0.13
    assert not np.array_equal(metacells.layers["decoded_a"], metacells.layers["decoded"])


def test_one_prototype(example):
    prototypes = example.prototypes[:1]
    metacells = example.build(prototypes=prototypes, level=cut(prototypes), decoded={None: example.decoded[:1]})
    assert metacells.obs["n_cells"].tolist() == [N_CELLS]
    assert metacells.obs["tree_parent"].tolist() == [-1]
    np.testing.assert_allclose(metacells.obs["batch_entropy"], 1)


def test_metacells_survive_writing_and_reading(example, tmp_path):
    metacells = example.build()
    metacells.write_h5ad(tmp_path / "metacells.h5ad")
    read = read_h5ad(tmp_path / "metacells.h5ad")
    # pandas 3 reads text into a type of its own
    loose = {"check_index_type": False, "check_column_type": False, "check_categorical": False}
    pd.testing.assert_frame_equal(read.obs, metacells.obs, **loose)
    np.testing.assert_array_equal(read.uns[_keys.TREE], metacells.uns[_keys.TREE])


def test_tree_is_that_of_the_model_without_the_unused_prototype(example):
    metacells = example.build()
    tree = metacells.uns[_keys.TREE]
    np.testing.assert_array_equal(tree, contract_tree(ward_tree(example.prototypes), np.array([0, 1, 2, 3, 4, -1])))
    np.testing.assert_array_equal(metacells.obs["tree_parent"], tree_parents(tree, 5))


@pytest.mark.parametrize("n", range(1, N_PROTOTYPES))
def test_coarser_level_equals_a_loop(example, n):
    level = cut(example.prototypes, n)
    assignment = assign(example.unit, example.prototypes, level.group)
    metacells = example.build(level=level)
    finest = example.build()
    row = 0
    for name, prototypes in zip(level.names, [np.flatnonzero(level.group == g) for g in range(n)], strict=True):
        cells = np.isin(assignment.nearest, prototypes)
        if not cells.any():
            assert name not in metacells.obs_names
            continue
        assert metacells.obs_names[row] == name
        mass = np.array([(assignment.nearest == p).sum() for p in prototypes])
        centre = sum(m * example.prototypes[p] for m, p in zip(mass, prototypes, strict=True))
        np.testing.assert_allclose(metacells.obsm[_keys.SPHERE][row], centre / np.linalg.norm(centre), rtol=1e-5)
        np.testing.assert_allclose(metacells.obsm[_keys.LATENT][row], 3 * centre[:2] / mass.sum(), rtol=1e-5)
        shares = sum(m * example.decoded[p] for m, p in zip(mass, prototypes, strict=True)) / mass.sum()
        known = metacells.X[row, MODELLED]
        np.testing.assert_allclose(known / known.sum(), shares / shares.sum(), rtol=1e-4)
        np.testing.assert_allclose(metacells.X[row].sum(), 1e4, rtol=1e-5)
        np.testing.assert_array_equal(metacells.layers["counts"][row].toarray().ravel(), example.counts[cells].sum(0))
        row += 1
    assert row == metacells.n_obs == len(metacells.uns[_keys.TREE]) + 1
    np.testing.assert_array_equal(metacells.layers["counts"].sum(0), finest.layers["counts"].sum(0))


def test_one_metacell_of_all_cells(example):
    level = cut(example.prototypes, 1)
    metacells = example.build(level=level)
    assert metacells.obs_names.tolist() == ["metacell_0_of_1"]
    assert metacells.obs["n_cells"].tolist() == [N_CELLS]
    assert metacells.obs["tree_parent"].tolist() == [-1]
    np.testing.assert_allclose(metacells.obs["confidence"], 1, rtol=1e-5)


def test_labels_that_are_most_common_nowhere_are_not_categories(example):
    labels = np.array(["T"] * N_CELLS, dtype=object)
    labels[0] = "rare"
    example.cells.obs["kind"] = pd.Categorical(labels)
    assert example.build().obs["kind"].cat.categories.tolist() == ["T"]


def test_strings_are_python_strings(example):
    metacells = example.build()
    for strings in (
        metacells.obs_names,
        metacells.var_names,
        metacells.obs.columns,
        metacells.obs["kind"].cat.categories,
    ):
        assert strings.dtype == object
        assert all(type(name) is str for name in strings)


OURS = ["n_cells", "n_counts", "batch_entropy", "confidence", "tree_parent"]


@pytest.mark.parametrize("label", [*OURS, "share_a", "share_b"])
def test_a_label_named_like_another_column_overwrites_nothing(example, label, caplog, tmp_path):
    plain = example.build(label_keys=()).obs
    example.cells.obs[label] = example.cells.obs["kind"]
    metacells = example.build(label_keys=[label])
    pd.testing.assert_frame_equal(metacells.obs[plain.columns], plain)
    expected = example.build().obs
    column = _keys.label_columns([label], ["a", "b"])[label]
    assert column == f"{label}_label" == _keys.label_column(metacells, label)
    assert metacells.obs[column].tolist() == expected["kind"].tolist()
    assert metacells.obs[f"{column}_share"].tolist() == expected["kind_share"].tolist()
    assert f'The label "{label}" is in obs["{column}"]' in caplog.text
    metacells.write_h5ad(tmp_path / "metacells.h5ad")
    assert _keys.label_column(read_h5ad(tmp_path / "metacells.h5ad"), label) == column


def test_labels_do_not_overwrite_each_other(example):
    example.cells.obs["kind_share"] = np.where(np.arange(N_CELLS) % 2, "odd", "even")
    example.cells.obs["a/kind"] = "slash"
    example.cells.obs["a|kind"] = "bar"
    keys = ["kind", "kind_share", "a/kind", "a|kind", "kind"]
    metacells = example.build(label_keys=keys)
    alone = example.build().obs
    for column in ("kind", "kind_share"):
        assert metacells.obs[column].tolist() == alone[column].tolist()
    assert set(metacells.obs["kind_share_label"]) <= {"odd", "even"}
    assert set(metacells.obs["a|kind"]) == {"bar"}
    assert set(metacells.obs["a|kind_label"]) == {"slash"}
    assert [_keys.label_column(metacells, key) for key in keys[:4]] == [
        "kind",
        "kind_share_label",
        "a|kind_label",
        "a|kind",
    ]


def test_a_label_that_a_file_takes_for_a_folder_is_stored(example, tmp_path, caplog):
    example.cells.obs["cell/type"] = example.cells.obs["kind"]
    metacells = example.build(label_keys=["cell/type"])
    metacells.write_h5ad(tmp_path / "metacells.h5ad")
    read = read_h5ad(tmp_path / "metacells.h5ad")
    assert read.obs["cell|type"].tolist() == example.build().obs["kind"].tolist()
    assert 'obs["cell|type"]' in caplog.text


@pytest.mark.parametrize("names", [("A/B", "A|B"), ("", "."), ("/", "|"), ("x", "x_share"), ("counts", "..")])
def test_every_batch_has_its_share_and_its_layer(example, names, tmp_path):
    batch = example.batch.rename_categories(dict(zip("ab", names, strict=True)))
    decoded = {None: example.decoded, names[0]: example.decoded[::-1].copy(), names[1]: example.decoded}
    metacells = example.build(batch=batch, decoded=decoded)
    assert len(set(metacells.layers) - {None}) == 4
    metacells.write_h5ad(tmp_path / "metacells.h5ad")
    plain = example.build().obs
    for table in (metacells, read_h5ad(tmp_path / "metacells.h5ad")):
        columns = _keys.batches_by_column(table)
        assert list(columns.values()) == list(names)
        np.testing.assert_allclose(table.obs[list(columns)].sum(axis=1), 1)
        np.testing.assert_array_equal(table.obs[list(columns)], plain[["share_a", "share_b"]])


def test_labels_of_any_type_are_carried_over_and_stored(example, tmp_path):
    first = np.asarray(example.cells.obs["kind"] == "B")
    example.cells.obs["number"] = np.where(first, 10, 9)
    example.cells.obs["count"] = pd.array(np.where(first, 10, 9), dtype="Int64")
    example.cells.obs["flag"] = pd.array(first, dtype="boolean")
    example.cells.obs["date"] = np.where(first, pd.Timestamp("2020-01-02"), pd.Timestamp("2020-01-03"))
    example.cells.obs["string"] = pd.array(np.where(first, "B", "T"), dtype="string")
    example.cells.obs["stage"] = pd.Categorical(
        np.where(first, "late", "early"), ["early", "late", "never"], ordered=True
    )
    keys = ["number", "count", "flag", "date", "string", "stage"]
    metacells = example.build(label_keys=keys)
    metacells.write_h5ad(tmp_path / "metacells.h5ad")
    read = read_h5ad(tmp_path / "metacells.h5ad")
    leads = example.build().obs["kind"] == "B"
    for key, (yes, no) in {
        "number": (10, 9),
        "count": (10, 9),
        "flag": (True, False),
        "date": ("2020-01-02", "2020-01-03"),
        "string": ("B", "T"),
        "stage": ("late", "early"),
    }.items():
        # in a tie, the first label wins, which depends on their order
        clear = example.build().obs["kind_share"] > 0.5
        assert read.obs[key][clear].tolist() == np.where(leads, yes, no)[clear].tolist()
    assert read.obs["stage"].cat.ordered
