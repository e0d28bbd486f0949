"""The UMAP of a run, laid out by another process while this one works."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, nullcontext

import numpy as np
from anndata import AnnData

from .. import _keys
from .._threads import n_cores
from .hdf5 import AddArrays
from .job import Job
from .settings import Settings


def layout_job(settings: Settings) -> AbstractContextManager[Job]:
    """UMAP, made ready on another core meanwhile; not with one core or thread, or where this process has it ready."""
    from ..graph import umap_layout

    job = Job(umap_layout, np.eye(16))
    if not settings.report or settings.threads == 1 or n_cores() == 1 or "umap" in sys.modules:
        return nullcontext(job)
    return job


def add_umap(adata: AnnData, metacells: AnnData, job: Job, files: list[AddArrays]) -> None:
    """Add the UMAP to cells and metacells, and to the files of both.

    It is copied to where viewers look for one, unless the cells came with their own: the two files should agree.

    Parameters
    ----------
    adata, metacells
        Cells and metacells, in the order in which they were submitted.
    job
        Lays them out.
    files
        Those of the cells and of the metacells.
    """
    from ..tl.umap import set_umap

    set_umap(adata, metacells, job.result())
    keys = [_keys.UMAP]
    if _keys.SHOWN_UMAP not in adata.obsm:
        keys.append(_keys.SHOWN_UMAP)
        for data in (adata, metacells):
            data.obsm[_keys.SHOWN_UMAP] = data.obsm[_keys.UMAP].copy()
    for data, add in zip((adata, metacells), files, strict=True):
        add({key: data.obsm[key] for key in keys})
