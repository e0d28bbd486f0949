"""The UMAP of a run: laid out by another process while this one works, and added to the files."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import numpy as np
from anndata import AnnData
from anndata.io import write_elem

from .. import _keys
from .._standby import Standby
from .._threads import n_cores
from .hdf5 import COMPRESSION, open_hdf5
from .settings import CELLS, METACELLS, Settings


def standby_layout(settings: Settings) -> AbstractContextManager[Standby]:
    """UMAP, made ready on another core meanwhile; not with one core or thread, or where this process has it ready."""
    from ..graph import umap_layout

    layout = Standby(umap_layout, np.eye(16))
    if not settings.report or settings.threads == 1 or n_cores() == 1 or "umap" in sys.modules:
        return nullcontext(layout)
    return layout


def add_umap(adata: AnnData, metacells: AnnData, layout: Standby, seed: int, folder: Path) -> None:
    """Add the UMAP, which another process lays out while the files are written, to cells, metacells and files.

    It is copied to where viewers look for one, unless the cells came with their own: the two files should agree.
    """
    from ..tl import umap

    umap(adata, metacells, seed=seed, make_layout=layout)
    keys = [_keys.UMAP]
    if _keys.SHOWN_UMAP not in adata.obsm:
        keys.append(_keys.SHOWN_UMAP)
        for data in (adata, metacells):
            data.obsm[_keys.SHOWN_UMAP] = data.obsm[_keys.UMAP].copy()
    for data, name in ((adata, CELLS), (metacells, METACELLS)):
        with open_hdf5(folder / name, "r+") as file:
            for key in keys:
                write_elem(file["obsm"], key, data.obsm[key], dataset_kwargs=COMPRESSION)
