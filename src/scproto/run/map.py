"""From a file of counts and a fitted model to a folder of mapped cells."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from anndata import AnnData
from numpy.typing import NDArray

from .. import _keys
from .._files import atomic_folder
from .._threads import default_threads, limit_threads
from .._versions import library_versions
from ..inputs import check_readable, read_cells
from .hdf5 import writing_h5ad
from .memory import give_back_freed, peak_memory
from .record import list_files, write_record, written_files
from .settings import CELLS, MARKER, METACELLS, REPORT
from .stages import Announce, Stages, load_libraries
from .storable import make_storable

if TYPE_CHECKING:
    from ..model import SCPROTO
    from ..model.query import Query

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class MapSettings:
    """Settings of a mapping; the defaults are those of ``scproto map``."""

    batch_key: tuple[str, ...] = ()
    label_keys: tuple[str, ...] = ()
    layer: str | None = None
    raw: bool = False
    round_counts: bool = False
    coverage: float = 0.9
    threads: int | None = None
    report: bool = True


class ReferenceMap(NamedTuple):
    """Coordinates of the reference's cells in the embedding, and their places on its UMAP."""

    embedding: NDArray[np.float32]
    umap: NDArray[np.float32]


def map_run(
    source: str | Path,
    model: str | Path,
    out: str | Path,
    settings: MapSettings,
    *,
    overwrite: bool = False,
    announce: Announce = nullcontext,
) -> dict[str, Any]:
    """Map cells onto a fitted model, and write all results into one folder.

    Parameters
    ----------
    source
        A file or folder of cells (:func:`scproto.inputs.read_cells`).
    model
        Folder of the model. If it lies in the folder of its run, the report shows the query on the map of the run.
    out
        The folder, with ``cells.h5ad`` and ``metacells.h5ad`` as those of a fit, ``report.html``, ``figures/`` and
        ``run.json``. It is either complete or absent; the report is added last.
    settings
        Keys and other settings.
    overwrite
        Whether to replace an earlier folder, once this one is complete.
    announce
        Function that takes the name of a stage and returns a context manager for the duration of the stage.

    Returns
    -------
    record : dict
        Content of ``run.json``: settings, versions, timings in seconds, peak memory in MiB, how the genes were
        matched, and how many cells got each label.

    Raises
    ------
    InputError
        If model or cells cannot be read or used, a label was not learnt, or the folder cannot be written.
    OSError
        If the disk fails or fills up.
    """
    from ..tl.labels import annotation_of

    stages, out = Stages(announce), Path(out).expanduser()
    give_back_freed()
    with atomic_folder(out, overwrite, marker=MARKER, written=written_files, keep=True) as folder:
        check_readable(source)
        with stages("Loading libraries"):
            load_libraries("auto")
        with limit_threads(settings.threads or default_threads()):
            with stages("Reading the model"):
                from ..model import SCPROTO

                loaded = SCPROTO.load(model)
                for key in settings.label_keys:
                    annotation_of(loaded, [key])
            with stages("Reading"):
                adata = read_cells(source, raw=settings.raw)
                for change in make_storable(adata, written=_keys.WRITTEN_OBS):
                    logger.warning(str(change))
            with stages("Mapping"):
                query = _map(adata, loaded, settings)
            with stages("Metacells"):
                labels = [f"scproto_{key}" for key in settings.label_keys]
                metacells = loaded.query_metacells(adata, query, label_keys=labels)
            reference = _reference_map(Path(model), loaded) if settings.report else None
            if reference is not None:
                with stages("Map"):
                    _lay_out(adata, metacells, reference)
            with stages("Writing"):
                for data, name in ((metacells, METACELLS), (adata, CELLS)):
                    with writing_h5ad(data, folder / name):
                        pass
        record = _record(source, model, settings, stages.seconds, adata)
        record["files"] = list_files(folder)
        write_record(record, folder)
    if settings.report:
        try:
            with stages("Report"):
                record["files"] += _report(adata, metacells, settings, out, reference)
        except BaseException as error:
            error.add_note(f"The results in {out} are complete but for the report.")
            raise
        write_record(record, out)
    return record


def _map(adata: AnnData, model: SCPROTO, settings: MapSettings) -> Query:
    """Map the cells, and transfer the labels that were asked for."""
    from .. import tl

    query = tl.map_query(
        adata,
        model,
        batch_key=settings.batch_key or None,
        layer=settings.layer,
        round_counts=settings.round_counts,
    )
    for key in settings.label_keys:
        tl.transfer_labels(adata, model, key, query=query, coverage=settings.coverage)
    return query


def _reference_map(model: Path, loaded: SCPROTO) -> ReferenceMap | None:
    """UMAP of the run that the model belongs to; None if it is not there or belongs to another model."""
    import h5py

    cells = model.expanduser().resolve().parent / CELLS
    try:
        with h5py.File(cells) as file:
            found = ReferenceMap(*(np.asarray(file["obsm"][key], np.float32) for key in (_keys.LATENT, _keys.UMAP)))
    except (OSError, KeyError, TypeError, ValueError):
        logger.info("There is no map of the reference beside the model, so the query gets a map of its own.")
        return None
    same = found.embedding.ndim == 2 and found.embedding.shape[1] == (loaded.module.axes.n_axes or -1)
    return found if same and found.umap.shape == (len(found.embedding), 2) else None


def _lay_out(adata: AnnData, metacells: AnnData, reference: ReferenceMap) -> None:
    """Place cells and metacells of the query on the map of the reference."""
    from ..graph.layout import place_on

    for data in (adata, metacells):
        data.obsm[_keys.UMAP] = place_on(np.asarray(data.obsm[_keys.LATENT]), *reference)
        if _keys.SHOWN_UMAP not in data.obsm:
            data.obsm[_keys.SHOWN_UMAP] = data.obsm[_keys.UMAP].copy()


def _record(
    source: str | Path, model: str | Path, settings: MapSettings, timings: Mapping[str, float], adata: AnnData
) -> dict[str, Any]:
    labels = {key: _counted(adata, f"scproto_{key}") for key in settings.label_keys}
    return {
        "input": str(source),
        "model": str(model),
        "settings": asdict(settings),
        "versions": library_versions(),
        "n_cells": adata.n_obs,
        "n_genes": adata.n_vars,
        "batches": _counted(adata, _keys.BATCH),
        "genes": dict(adata.uns[_keys.UNS]["query"]),
        "n_metacells": int(adata.obs[_keys.METACELL].nunique()),
        "n_outliers": int(adata.obs[_keys.OUTLIER].sum()),
        "labels": labels,
        "timings": timings,
        "peak_memory_mib": round(peak_memory(), 1) or None,
    }


def _counted(adata: AnnData, column: str) -> dict[str, int]:
    return {str(name): int(n) for name, n in adata.obs[column].value_counts(sort=False).items()}


def _report(
    adata: AnnData, metacells: AnnData, settings: MapSettings, folder: Path, reference: ReferenceMap | None
) -> list[str]:
    """Write the report, and return the names of the new files."""
    from ..reporting import write_report

    before = set(list_files(folder))
    write_report(
        adata,
        metacells,
        None,
        asdict(settings) | dict(adata.uns[_keys.UNS]["query"]) | library_versions(),
        folder / REPORT,
        label_key=f"scproto_{settings.label_keys[0]}" if settings.label_keys else None,
        background=None if reference is None else reference.umap,
    )
    return sorted({*list_files(folder)} - before)
