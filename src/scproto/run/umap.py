"""The UMAP of a run, which another process lays out while this one works."""

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
    """Make a job for UMAP on another core; with one core or thread, or UMAP loaded, the job runs in this process."""
    from ..graph import umap_layout

    job = Job(umap_layout, np.eye(16))
    if not settings.report or settings.threads == 1 or n_cores() == 1 or "umap" in sys.modules:
        return nullcontext(job)
    return job


def add_umap(adata: AnnData, metacells: AnnData, job: Job, files: list[AddArrays]) -> None:
    """Add the UMAP to cells and metacells, and to the files of both.

    It is also copied to where viewers look for a UMAP, unless the cells came with their own. So the two files agree.

    Parameters
    ----------
    adata, metacells
        Cells and metacells, in the order in which they were submitted.
    job
        Job that lays them out.
    files
        Functions that add to the files of the cells and of the metacells.
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
