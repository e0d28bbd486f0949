"""Data sets, and models trained on them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from anndata import AnnData

import scproto
from scproto._errors import InputError
from scproto.inputs import choose_n_prototypes, read_cells, read_obs

SIMULATED = {"n_cells": 3000, "n_genes": 1000, "n_batches": 4, "n_types": 8, "composition": "unequal"}
SIMULATED |= {"rare_fraction": 0.02, "depth": 800, "seed": 0}


def find_files(paths: Iterable[Path]) -> list[Path]:
    """Return the ``.h5ad`` files that the paths name, and those in the folders that they name, in order.

    Raises
    ------
    InputError
        If there is no file, or if two files have the same name.
    """
    files = [file for path in paths for file in (sorted(path.glob("*.h5ad")) if path.is_dir() else [path])]
    if not files:
        raise InputError("There is no .h5ad file in the given folders.")
    names = [file.stem for file in files]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InputError(f"Several files are called {twice[0]}.h5ad: the name identifies the results, so rename one.")
    return files


def numbers_of_metacells(given: Iterable[str], sizes: Mapping[str, int]) -> dict[str, int]:
    """Return the number of metacells for each data set.

    ``"60"`` sets the number for all data sets and ``"NAME=60"`` for one; the default is that of ``scproto fit``.
    `sizes` maps the name of each data set to its number of cells.

    Raises
    ------
    InputError
        If a number is not between 2 and the number of cells, or if no data set has a given name.
    """
    numbers = {name: choose_n_prototypes("auto", n_cells) for name, n_cells in sizes.items()}
    for text in sorted(given, key=lambda text: "=" in text):  # a number for one data set takes precedence
        name, _, number = text.rpartition("=")
        if name and name not in numbers:
            raise InputError(f"--n-prototypes {text}: no data set is called {name}; choose from {', '.join(numbers)}.")
        chosen = [name] if name else list(numbers)
        if not number.isdecimal() or not 2 <= int(number) <= min(sizes[one] for one in chosen):
            raise InputError(f"--n-prototypes {text}: give a number from 2 to the number of cells.")
        numbers |= dict.fromkeys(chosen, int(number))
    return numbers


def numbers_of_files(given: Iterable[str], files: Iterable[Path]) -> dict[str, int]:
    """Return the number of metacells for each file, keyed by file name without suffix."""
    return numbers_of_metacells(given, {file.stem: len(read_obs(file)) for file in files})


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file, which shows whether results belong to it or to another file of the same name."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def load(data: str | Path, batch_key: str | None = "batch", **settings: Any) -> AnnData:
    """Return the prepared cells of a file, or of ``blood`` or ``simulated``, which come with scproto."""
    if data == "simulated":
        adata = scproto.datasets.simulate_atlas(**SIMULATED)
    elif data == "blood":
        adata = scproto.datasets.pbmc_three_labs()
        adata.obs["batch"] = adata.obs["lab"]
    else:
        adata = read_cells(Path(data))
    scproto.pp.prepare(adata, batch_key=batch_key, **settings)
    return adata


def fit(
    adata: AnnData,
    max_steps: int | None,
    folder: Path | None = None,
    training: Mapping[str, Any] | None = None,
    **constants: Any,
) -> scproto.SCPROTO:
    """Train a model on prepared cells and save it in the folder, or load the model that the folder already holds."""
    if folder and folder.exists():
        return scproto.SCPROTO.load(folder, adata)
    scproto.SCPROTO.setup_anndata(adata)
    model = scproto.SCPROTO(adata, **constants)
    model.train(max_steps, accelerator="cpu", enable_progress_bar=False, **(training or {}))
    if folder:
        model.save(folder)
    return model
