"""Data sets, and the one input that all methods get of each."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from anndata import AnnData

from scproto._errors import InputError
from scproto._files import atomic_path
from scproto.inputs import read_cells, read_counts, read_obs

CELLS_PER_METACELL = 75
"""The graining level where no number is given, as in ``scproto fit``."""


@dataclass(frozen=True)
class Data:
    """A data set and what was made of it."""

    name: str
    original: Path
    """The file as given: raw counts in ``X``, ``obs["batch"]`` and ``obs["cell_type"]``."""
    prepared: Path
    """The input of the methods: counts of the chosen genes, batches and PCA, without labels."""
    digest: str
    """SHA-256 of the original file: results of another file of the same name are not taken for this one's."""
    n_cells: int
    n_genes: int

    def labelled(self) -> AnnData:
        """Return the input with ``obs["cell_type"]``, missing where there is none: what results are scored with."""
        cells = read_cells(self.prepared)
        cell_type = read_obs(self.original)["cell_type"]
        cells.obs["cell_type"] = cell_type.astype(object).map(str, na_action="ignore").to_numpy()
        return cells


def find_files(paths: Iterable[Path]) -> list[Path]:
    """Return the ``.h5ad`` files among and in the paths, in order.

    Raises
    ------
    InputError
        If there is none, or if two have the same name.
    """
    files = [file for path in paths for file in (sorted(path.glob("*.h5ad")) if path.is_dir() else [path])]
    if not files:
        raise InputError("There is no .h5ad file in the folders given.")
    names = [file.stem for file in files]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InputError(f"Several files are called {twice[0]}.h5ad: results are told apart by name, so rename one.")
    return files


def prepare(original: Path, folder: Path) -> Data:
    """Choose genes and compute the PCA as scproto does, once, and write the input of the methods.

    Parameters
    ----------
    original
        A file with raw counts in ``X``, ``obs["batch"]`` and ``obs["cell_type"]``.
    folder
        Where the input is written, or found if it was written from the same file before.

    Raises
    ------
    InputError
        If the file lacks something.
    """
    prepared, record = folder / f"{original.stem}.h5ad", folder / f"{original.stem}.json"
    with original.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    found = json.loads(record.read_text()) if record.exists() else {}
    if found.get("digest") != digest or not prepared.exists():
        cells = _choose(original)
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_path(prepared) as path:
            cells.write_h5ad(path, compression="gzip")
        found = {"digest": digest, "n_cells": cells.n_obs, "n_genes": cells.n_vars}
        with atomic_path(record) as path:
            path.write_text(json.dumps(found, indent=2) + "\n")
    return Data(original.stem, original.resolve(), prepared.resolve(), digest, found["n_cells"], found["n_genes"])


def _choose(original: Path) -> AnnData:
    """Counts of the genes that scproto would choose, with batch and PCA; in a form that old anndata reads, too."""
    import scproto

    adata = read_cells(original)
    if "cell_type" not in adata.obs:
        raise InputError(f"{original} has no obs['cell_type']: the benchmark scores against known labels.")
    if adata.obs["cell_type"].nunique() < 2:
        raise InputError(f"{original} has only one cell type: there is nothing to score.")
    scproto.pp.prepare(adata, "batch")
    counts = read_counts(adata)
    genes = adata.var["scproto_gene"].to_numpy()
    batch = pd.Categorical(adata.obs["batch"].astype(str).to_numpy(dtype=object))
    return AnnData(
        counts.matrix[:, genes[counts.genes]].astype(np.float32),
        obs=pd.DataFrame({"batch": batch}, index=pd.Index(adata.obs_names, dtype=object)),
        var=pd.DataFrame(index=pd.Index(adata.var_names[genes], dtype=object)),
        obsm={"X_pca": adata.obsm["X_scproto_pca"]},
    )


def numbers_of_metacells(given: Iterable[str], data: Iterable[Data]) -> dict[str, int]:
    """Return the number of metacells for each data set.

    Parameters
    ----------
    given
        ``"60"`` for all, ``"NAME=60"`` for one; without either, one metacell for 75 cells.
    data
        The data sets.

    Raises
    ------
    InputError
        If a number is not one from 2 to the number of cells, or a name is not that of a data set.
    """
    data = list(data)
    numbers = {one.name: max(2, round(one.n_cells / CELLS_PER_METACELL)) for one in data}
    for text in sorted(given, key=lambda text: "=" in text):  # those for one data set count more
        name, _, number = text.rpartition("=")
        if name and name not in numbers:
            raise InputError(f"--n-prototypes {text}: there is no {name}; there are {', '.join(numbers)}.")
        chosen = [one for one in data if name in ("", one.name)]
        if not number.isdecimal() or not 2 <= int(number) <= min(one.n_cells for one in chosen):
            raise InputError(f"--n-prototypes {text}: give a number from 2 to the number of cells.")
        numbers |= {one.name: int(number) for one in chosen}
    return numbers
