"""Read counts in the formats of 10x Genomics' Cell Ranger, which other tools write, too."""

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
    """Whether Cell Ranger wrote an HDF5 file: version 3 or newer (one group ``matrix``) or 2 (one group per genome)."""
    return any(map(_is_matrix, file.values()))


def read_tenx_h5(path: Path) -> AnnData:
    """Read an ``.h5`` file of Cell Ranger.

    Returns
    -------
    adata : AnnData
        Cells with all features, named by their symbols.

    Raises
    ------
    InputError
        If the file holds several genomes, which Cell Ranger 2 could write.
    """
    with h5py.File(path, "r") as file:
        names = [name for name in file if _is_matrix(file[name])]
        if len(names) > 1:
            raise InputError(
                f"{path} holds several genomes ({', '.join(names)}): read one of them with scanpy.read_10x_h5."
            )
        group = file[names[0]]
        table = group.get("features", group)  # Cell Ranger 2 put the genes beside the matrix
        ids, symbols, kinds = (
            table[next(key for key in keys if key in table)].asstr()[:] if set(keys) & set(table) else None
            for keys in (("id", "genes"), ("name", "gene_names", "id", "genes"), ("feature_type",))
        )
        parts = (group[name][:] for name in ("data", "indices", "indptr"))
        counts = sp.csr_matrix(tuple(parts), shape=tuple(group["shape"][:])[::-1])
        return _assemble(counts, group["barcodes"].asstr()[:], symbols, ids, kinds)


def holds_matrix_market(folder: Path) -> bool:
    """Whether a folder has a ``matrix.mtx`` or ``matrix.mtx.gz``, with any prefix."""
    return bool(_matrices(folder))


def read_matrix_market(folder: Path) -> AnnData:
    """Read a folder with a matrix, its barcodes and its features (or genes), compressed or not.

    Returns
    -------
    adata : AnnData
        Cells with all features, named by their symbols.

    Raises
    ------
    InputError
        If one of the three files is missing, if they do not fit together, or if there are several matrices.
    """
    from scipy.io import mmread

    matrices = _matrices(folder)
    if len(matrices) > 1:
        names = " and ".join(path.name for path in matrices[:2])
        raise InputError(f"{folder} holds several matrices, such as {names}: put each into a folder of its own.")
    prefix = matrices[0].name.split(MATRIX)[0]
    barcodes = _table(folder, prefix, "barcodes.tsv")
    features = _table(folder, prefix, "features.tsv", "genes.tsv")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # scipy will return another class
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
    """Read a text table without a header."""
    for name in names:
        for path in (folder / f"{prefix}{name}", folder / f"{prefix}{name}.gz"):
            if path.exists():
                return pd.read_csv(path, sep="\t", header=None, dtype=str, keep_default_na=False)
    raise InputError(f"{folder} has a {prefix}{MATRIX} but no {prefix}{names[0]} beside it: copy that file there.")


def _is_matrix(item: Any) -> bool:
    return isinstance(item, h5py.Group) and {"barcodes", "data", "indices", "indptr", "shape"} <= set(item)


def _assemble(counts: sp.csr_matrix, barcodes: Any, symbols: Any, ids: Any, kinds: Any) -> AnnData:
    """Name the cells by their barcodes and the features by their symbols, made unique."""
    from anndata.utils import make_index_unique

    names = pd.Index(np.asarray(symbols, dtype=object))
    if not names.is_unique:
        logger.info("Some genes share a symbol: -1, -2, ... is appended to make the names unique.")
        names = make_index_unique(names)
    var = pd.DataFrame({"gene_ids": np.asarray(ids, dtype=object)}, index=names)
    if kinds is not None:
        var["feature_types"] = pd.Categorical(kinds)
    return AnnData(counts.astype(np.float32), pd.DataFrame(index=pd.Index(np.asarray(barcodes, dtype=object))), var)
