"""Counts as 10x Genomics' Cell Ranger, and tools that write the same, leave them."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

from .._errors import InputError

logger = logging.getLogger(__name__)

MATRIX = "matrix.mtx"


def holds_tenx(file: h5py.File) -> bool:
    """Whether an HDF5 file is Cell Ranger's: a group ``matrix`` (3 and newer) or one for each genome."""
    return any(map(_is_matrix, file.values()))


def read_tenx_h5(path: Path) -> AnnData:
    """Read all features of an ``.h5`` file of Cell Ranger, named by their symbols.

    Raises
    ------
    InputError
        If it holds several genomes, as Cell Ranger 2 may write it.
    """
    with h5py.File(path, "r") as file:
        names = [name for name in file if _is_matrix(file[name])]
        if len(names) > 1:
            raise InputError(f"{path} holds several genomes ({', '.join(names)}): keep one, with scanpy.read_10x_h5.")
        group = file[names[0]]
        table = group.get("features", group)  # genes of Cell Ranger 2 lie beside the matrix
        ids, symbols, kinds = (
            table[next(key for key in keys if key in table)].asstr()[:] if set(keys) & set(table) else None
            for keys in (("id", "genes"), ("name", "gene_names", "id", "genes"), ("feature_type",))
        )
        parts = (group[name][:] for name in ("data", "indices", "indptr"))
        counts = sp.csr_matrix(tuple(parts), shape=tuple(group["shape"][:])[::-1])
        return _assemble(counts, group["barcodes"].asstr()[:], symbols, ids, kinds)


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
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of the class that scipy is going to return
        counts = sp.csr_matrix(mmread(matrices[0]).T)
    if counts.shape != (len(barcodes), len(features)):
        raise InputError(
            f"{matrices[0]} has {counts.shape[1]} features and {counts.shape[0]} cells, but the tables beside it name "
            f"{len(features)} and {len(barcodes)}: take all three from one run of Cell Ranger."
        )
    ids, symbols, kinds = (features.get(column) for column in range(3))
    return _assemble(counts, barcodes[0], ids if symbols is None else symbols, ids, kinds)


def _matrices(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.name.endswith((MATRIX, f"{MATRIX}.gz")))


def _table(folder: Path, prefix: str, *names: str) -> pd.DataFrame:
    """Read a table of text without a header."""
    for name in names:
        for path in (folder / f"{prefix}{name}", folder / f"{prefix}{name}.gz"):
            if path.exists():
                return pd.read_csv(path, sep="\t", header=None, dtype=str, keep_default_na=False)
    raise InputError(f"{folder} has a {prefix}{MATRIX} but no {prefix}{names[0]} beside it: copy it there.")


def _is_matrix(item: Any) -> bool:
    return isinstance(item, h5py.Group) and {"barcodes", "data", "indices", "indptr", "shape"} <= set(item)


def _assemble(counts: sp.csr_matrix, barcodes: Any, symbols: Any, ids: Any, kinds: Any) -> AnnData:
    """Cells named by their barcodes and features by their symbols, which are made unique."""
    from anndata.utils import make_index_unique

    names = pd.Index(np.asarray(symbols, dtype=object))
    if not names.is_unique:
        logger.info("Some gene symbols stand for several genes: -1, -2, ... is added to them.")
        names = make_index_unique(names)
    var = pd.DataFrame({"gene_ids": np.asarray(ids, dtype=object)}, index=names)
    if kinds is not None:
        var["feature_types"] = pd.Categorical(kinds)
    return AnnData(counts.astype(np.float32), pd.DataFrame(index=pd.Index(np.asarray(barcodes, dtype=object))), var)
