from __future__ import annotations

import anndata
import numpy as np
import pytest
from comparison.inputs import Data, find_files, numbers_of_metacells, prepare

import scproto
from scproto._errors import InputError


def data(name: str, n_cells: int) -> Data:
    return Data(name, None, None, "", n_cells, 10)


@pytest.fixture
def original(tiny_atlas, tmp_path):
    tiny_atlas.obs["cell_type"] = tiny_atlas.obs["cell_type"].astype(object)
    path = tmp_path / "atlas.h5ad"
    tiny_atlas.write_h5ad(path)
    return path


def test_the_input_has_the_genes_of_scproto_and_no_labels(tiny_atlas, original, tmp_path):
    made = prepare(original, tmp_path / "inputs")
    cells = anndata.read_h5ad(made.prepared)
    scproto.pp.prepare(tiny_atlas, "batch")
    chosen = tiny_atlas[:, tiny_atlas.var["scproto_gene"]]
    assert list(cells.obs.columns) == ["batch"]
    assert list(cells.var_names) == list(chosen.var_names)
    np.testing.assert_array_equal(cells.X.toarray(), np.asarray(chosen.to_df()))
    np.testing.assert_allclose(cells.obsm["X_pca"], tiny_atlas.obsm["X_scproto_pca"])
    assert (made.n_cells, made.n_genes) == cells.shape


def test_the_input_is_made_anew_only_for_another_file(tiny_atlas, original, tmp_path):
    first = prepare(original, tmp_path / "inputs")
    written = first.prepared.stat().st_mtime_ns
    assert prepare(original, tmp_path / "inputs") == first
    assert first.prepared.stat().st_mtime_ns == written
    tiny_atlas[:200].write_h5ad(original)
    second = prepare(original, tmp_path / "inputs")
    assert second.digest != first.digest
    assert anndata.read_h5ad(second.prepared).n_obs == second.n_cells == 200


def test_labels_come_back_for_scoring_and_missing_ones_stay_missing(tiny_atlas, original, tmp_path):
    tiny_atlas.obs.loc[tiny_atlas.obs_names[:3], "cell_type"] = np.nan
    tiny_atlas.write_h5ad(original)
    cells = prepare(original, tmp_path / "inputs").labelled()
    assert cells.obs["cell_type"][:3].isna().all()
    assert list(cells.obs["cell_type"][3:]) == list(tiny_atlas.obs["cell_type"][3:])
    assert list(cells.obs["batch"]) == list(tiny_atlas.obs["batch"])


@pytest.mark.parametrize(("column", "message"), [("cell_type", "no obs"), ("batch", "batch key")])
def test_a_file_without_the_columns_is_refused(tiny_atlas, tmp_path, column, message):
    del tiny_atlas.obs[column]
    tiny_atlas.write_h5ad(tmp_path / "atlas.h5ad")
    with pytest.raises(InputError, match=message):
        prepare(tmp_path / "atlas.h5ad", tmp_path / "inputs")


def test_a_file_with_one_label_is_refused(tiny_atlas, tmp_path):
    tiny_atlas.obs["cell_type"] = "B"
    tiny_atlas.write_h5ad(tmp_path / "atlas.h5ad")
    with pytest.raises(InputError, match="only one cell type"):
        prepare(tmp_path / "atlas.h5ad", tmp_path / "inputs")


def test_files_are_found_in_folders_and_by_name(tmp_path):
    for name in ("b.h5ad", "a.h5ad", "c.txt"):
        (tmp_path / name).touch()
    files = [tmp_path / "a.h5ad", tmp_path / "b.h5ad"]
    assert find_files([tmp_path]) == files
    assert find_files(files[::-1]) == files[::-1]
    with pytest.raises(InputError, match=r"Several files are called a\.h5ad"):
        find_files([tmp_path, tmp_path / "a.h5ad"])


def test_a_folder_without_files_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"no \.h5ad file"):
        find_files([tmp_path])


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([], {"a": 4, "b": 40}),
        (["60"], {"a": 60, "b": 60}),
        (["b=9"], {"a": 4, "b": 9}),
        (["b=9", "60"], {"a": 60, "b": 9}),
    ],
)
def test_numbers_of_metacells(given, expected):
    assert numbers_of_metacells(given, [data("a", 300), data("b", 3000)]) == expected


@pytest.mark.parametrize("given", ["c=9", "1", "301", "many", "a=", "b=3001"])
def test_numbers_that_cannot_be_are_refused(given):
    with pytest.raises(InputError, match=f"--n-prototypes {given}"):
        numbers_of_metacells([given], [data("a", 300), data("b", 3000)])
