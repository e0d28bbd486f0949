"""Files and folders of Cell Ranger become AnnData."""

from __future__ import annotations

import gzip
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io
from scipy import sparse

from scproto._errors import InputError
from scproto.inputs.files import check_readable, read_cells, read_scored

GENES = ["CD3D", "TBCE", "TBCE", "CD3"]


def tenx(counts=None):
    counts = np.arange(12).reshape(3, 4) if counts is None else counts
    barcodes = [f"ACGT{i}-1" for i in range(3)]
    kinds = ["Gene Expression"] * 3 + ["Antibody Capture"]
    return counts, barcodes, [f"ENSG{i}" for i in range(4)], kinds


def tenx_h5(path: Path, *, legacy: bool = False, kinds: bool = True) -> Path:
    counts, barcodes, ids, types = tenx()
    matrix = sparse.csr_matrix(counts)
    with h5py.File(path, "w") as file:
        group = file.create_group("hg19" if legacy else "matrix")
        group["data"], group["indices"], group["indptr"] = matrix.data, matrix.indices, matrix.indptr
        group["shape"] = counts.shape[::-1]
        group["barcodes"] = np.array(barcodes, "S")
        features = group if legacy else group.create_group("features")
        features["genes" if legacy else "id"] = np.array(ids, "S")
        features["gene_names" if legacy else "name"] = np.array(GENES, "S")
        if kinds and not legacy:
            features["feature_type"] = np.array(types, "S")
    return path


def tenx_folder(folder: Path, *, packed: bool = True, prefix: str = "", legacy: bool = False) -> Path:
    counts, barcodes, ids, types = tenx()
    folder.mkdir()
    scipy.io.mmwrite(folder / f"{prefix}matrix.mtx", sparse.coo_matrix(counts.T))
    columns = [ids, GENES] if legacy else [ids, GENES, types]
    rows = ["\t".join(row) for row in zip(*columns, strict=True)]
    (folder / f"{prefix}{'genes' if legacy else 'features'}.tsv").write_text("\n".join(rows) + "\n")
    (folder / f"{prefix}barcodes.tsv").write_text("\n".join(barcodes) + "\n")
    for path in list(folder.iterdir()) if packed else []:
        (folder / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    return folder


@pytest.mark.parametrize(
    "make",
    [
        lambda at: tenx_h5(at / "filtered.h5"),
        lambda at: tenx_h5(at / "renamed.h5ad"),
        lambda at: tenx_h5(at / "plain.h5", kinds=False),
        lambda at: tenx_h5(at / "old.h5", legacy=True),
        lambda at: tenx_folder(at / "filtered_feature_bc_matrix"),
        lambda at: tenx_folder(at / "unpacked", packed=False),
        lambda at: tenx_folder(at / "geo", prefix="GSM1_donor2_"),
        lambda at: tenx_folder(at / "hg19", packed=False, legacy=True),
    ],
    ids=["h5", "renamed", "no_types", "version_2", "folder", "unpacked", "prefix", "genes"],
)
def test_reads_what_cell_ranger_writes(tmp_path, make):
    path = make(tmp_path)
    check_readable(path)
    adata = read_cells(path)
    np.testing.assert_array_equal(adata.X.toarray(), np.arange(12).reshape(3, 4))
    assert list(adata.obs_names) == ["ACGT0-1", "ACGT1-1", "ACGT2-1"]
    assert list(adata.var_names) == ["CD3D", "TBCE", "TBCE-1", "CD3"]
    assert list(adata.var["gene_ids"]) == [f"ENSG{i}" for i in range(4)]
    if "feature_types" in adata.var:
        assert adata.var["feature_types"].iloc[3] == "Antibody Capture"
    adata.write_h5ad(tmp_path / "written.h5ad")


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda folder: (folder / "barcodes.tsv").unlink(), r"no barcodes\.tsv beside it"),
        (lambda folder: (folder / "features.tsv").unlink(), r"no features\.tsv beside it"),
        (lambda folder: (folder / "barcodes.tsv").write_text("ACGT-1\n"), "take all three from one run"),
        (lambda folder: (folder / "other_matrix.mtx").write_text(""), "several matrices"),
        (lambda folder: (folder / "matrix.mtx").write_text("no matrix"), "cannot be read"),
    ],
    ids=["barcodes", "features", "other_barcodes", "two", "damaged"],
)
def test_incomplete_folders_of_cell_ranger(tmp_path, spoil, says):
    folder = tenx_folder(tmp_path / "run", packed=False)
    spoil(folder)
    with pytest.raises(InputError, match=says):
        read_cells(folder)


def test_a_file_with_only_counts_cannot_be_scored(tmp_path):
    with pytest.raises(InputError, match="only counts"):
        read_scored(tenx_h5(tmp_path / "filtered.h5"))
