"""Counts as 10x Genomics' Cell Ranger, and tools that write the same, leave them."""

from __future__ import annotations

import logging
from pathlib import Path

import h5py
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

from .._errors import InputError

logger = logging.getLogger(__name__)

MATRIX = "matrix.mtx"


def holds_tenx(file: h5py.File) -> bool:
    """Whether an HDF5 file is Cell Ranger's: a group ``matrix`` (3 and newer) or one for each genome."""
    return any(isinstance(group, h5py.Group) and {"barcodes", "indptr"} <= set(group) for group in file.values())


def read_tenx_h5(path: Path) -> AnnData:
    """Read all features of an ``.h5`` file of Cell Ranger, named by their symbols."""
    import scanpy as sc

    return _unique(sc.read_10x_h5(path, gex_only=False))


def holds_matrix_market(folder: Path) -> bool:
    """Whether a folder has a ``matrix.mtx`` or ``matrix.mtx.gz``, whatever stands before that in its name."""
    return bool(_matrices(folder))


def read_matrix_market(folder: Path) -> AnnData:
    """Read a folder of matrix, barcodes and features (or genes), compressed or not, named by the symbols.

    Raises
    ------
    InputError
        If one of the three is missing, they do not fit to each other, or there are several matrices.
    """
    from scipy.io import mmread

    matrices = _matrices(folder)
    if len(matrices) > 1:
        names = " and ".join(path.name for path in matrices[:2])
        raise InputError(f"{folder} holds several matrices, {names} for two: give a folder for each.")
    prefix = matrices[0].name.split(MATRIX)[0]
    barcodes = _table(folder, prefix, "barcodes.tsv")
    features = _table(folder, prefix, "features.tsv", "genes.tsv")
    counts = sp.csr_matrix(mmread(matrices[0]).T)
    if counts.shape != (len(barcodes), len(features)):
        raise InputError(
            f"{matrices[0]} has {counts.shape[1]} features and {counts.shape[0]} cells, but the tables beside it name "
            f"{len(features)} and {len(barcodes)}: take all three from one run of Cell Ranger."
        )
    var = pd.DataFrame({"gene_ids": features[0].to_numpy(str)}, index=pd.Index(features[min(1, features.shape[1] - 1)]))
    if features.shape[1] > 2:
        var["feature_types"] = pd.Categorical(features[2])
    var.index.name = None
    return _unique(AnnData(counts.astype("float32"), pd.DataFrame(index=pd.Index(barcodes[0], name=None)), var))


def _matrices(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.name.endswith((MATRIX, f"{MATRIX}.gz")))


def _table(folder: Path, prefix: str, *names: str) -> pd.DataFrame:
    """Read a table of text without a header."""
    for name in names:
        for path in (folder / f"{prefix}{name}", folder / f"{prefix}{name}.gz"):
            if path.exists():
                return pd.read_csv(path, sep="\t", header=None, dtype=str, keep_default_na=False)
    raise InputError(f"{folder} has a {prefix}{MATRIX} but no {prefix}{names[0]} beside it: copy it there.")


def _unique(adata: AnnData) -> AnnData:
    if not adata.var_names.is_unique:
        logger.info("Some gene symbols stand for several genes: -1, -2, ... is added to them.")
        adata.var_names_make_unique()
    return adata
