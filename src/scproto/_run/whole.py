"""From a file of counts to a run folder."""

from __future__ import annotations

from contextlib import nullcontext, suppress
from dataclasses import asdict
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any

import numpy as np
from anndata import AnnData

from .. import _keys
from .._errors import InputError
from .._files import atomic_folder
from .._memory import give_back_freed
from .._standby import Standby
from .._threads import default_threads, limit_threads
from .._versions import library_versions
from ..inputs import check_readable, read_cells
from .admit import Admitted, admit
from .hdf5 import write_h5ad
from .record import list_files, make_record, whole_memory, write_record, written_files
from .settings import CELLS, MARKER, METACELLS, MODEL, REPORT, Settings, Source
from .stages import Announce, Stages, load_libraries
from .umap import add_umap, standby_layout

if TYPE_CHECKING:
    from ..model import SCPROTO


def run(
    source: Source,
    out: str | Path,
    settings: Settings,
    *,
    overwrite: bool = False,
    announce: Announce = nullcontext,
    progress_bar: bool = False,
) -> dict[str, Any]:
    """Fit scproto to counts and write everything that it makes into one folder.

    Parameters
    ----------
    source
        A file or folder of cells (:func:`scproto.inputs.read_cells`), or a function that gives them.
    out
        The run folder: ``cells.h5ad``, ``metacells.h5ad``, ``model/``, ``report.html``, ``figures/`` and
        ``run.json``. It is complete, or it is not there; the report is added last.
    settings
        Keys, sizes and seed.
    overwrite
        Replace an earlier run, once this one is complete. Files that the earlier run did not write are kept.
    announce
        Called with the name of each stage, gives a context manager for its duration.
    progress_bar
        Show the bar of the training.

    Returns
    -------
    What ``run.json`` holds: settings, versions, timings in seconds, peak memory in MiB, last losses,
    diagnostics, and the verdict of :func:`scproto.tl.check`.

    Raises
    ------
    InputError
        For input that cannot be read or used, and for a folder that cannot be written, before any long work.
    OSError
        If the disk fails or fills up meanwhile. Of an error after the training a note tells where the model and what
        else is complete are kept.
    """
    stages, out = Stages(announce), Path(out).expanduser()
    give_back_freed()
    with atomic_folder(out, overwrite, marker=MARKER, written=written_files, keep=True) as folder:
        if not callable(source):
            check_readable(source)
            _check_outside(Path(source), out)
        with stages("Reading"):
            adata = source() if callable(source) else read_cells(source, raw=settings.raw)
        with stages("Checking"):
            admitted = admit(adata, settings, folder)
            settings = admitted.settings
        with standby_layout(settings) as layout:
            with stages("Loading libraries"):
                load_libraries(settings.accelerator)
            with limit_threads(settings.threads or default_threads()):
                model, metacells = fit(adata, settings, stages, layout, folder, progress_bar=progress_bar)
                with stages("Writing"):
                    _write(admitted, metacells, folder)
                if settings.report:
                    with stages("Figures"):
                        figures = _draw_figures(metacells, model)
                    with stages("UMAP"):
                        add_umap(adata, metacells, layout, settings.seed, folder)
        record = make_record(source, settings, stages.seconds, adata, model.history, layout)
        record["files"] = list_files(folder)
        write_record(record, folder)
    if settings.report:
        try:
            with stages("Report"):
                record["files"] += _write_report(adata, metacells, model, settings, out, figures)
        except BaseException as error:
            error.add_note(f"The run in {out} is complete but for its report.")
            raise
        record["peak_memory_mib"] = whole_memory(layout)
        write_record(record, out)
    return record


def fit(
    adata: AnnData, settings: Settings, stages: Stages, layout: Standby, folder: Path, *, progress_bar: bool
) -> tuple[SCPROTO, AnnData]:
    """Prepare the cells, train a model on them, save it and gather the metacells; `adata` gets the results."""
    import scproto

    batch_key = settings.batch_key or None
    with stages("Preparing"):
        scproto.pp.prepare(
            adata, batch_key, layer=settings.layer, round_counts=settings.round_counts, seed=settings.seed
        )
    with stages("Training"):
        scproto.SCPROTO.setup_anndata(adata, layer=settings.layer, batch_key=batch_key)
        model = scproto.SCPROTO(adata, n_prototypes=settings.n_prototypes, seed=settings.seed)
        model.train(max_steps=settings.max_steps, accelerator=settings.accelerator, enable_progress_bar=progress_bar)
        _save(model, folder)
    with stages("Metacells"):
        scproto.tl.assign_metacells(adata, model)
        if settings.report:
            points = np.concatenate([adata.obsm[_keys.LATENT], model.prototypes])
            layout.begin(points, settings.seed)  # which tl.umap asks for
        adata.uns[_keys.UNS] |= {"settings": settings.storable(), "seed": settings.seed}
        metacells = model.get_metacells(label_keys=settings.label_keys)
    with stages("Check"):
        adata.uns[_keys.UNS]["verdict"] = scproto.tl.check(adata, seed=settings.seed).to_json()
    return model, metacells


def _save(model: SCPROTO, folder: Path) -> None:
    """Save the model in the run folder or, if that fails, where temporary files go: its training took long."""
    try:
        model.save(folder / MODEL)
    except (OSError, InputError) as error:
        rescued = Path(mkdtemp(prefix="scproto-")) / MODEL
        model.save(rescued)
        error.add_note(f"The trained model is kept in {rescued}.")
        raise


def _check_outside(source: Path, out: Path) -> None:
    if source.resolve().is_relative_to(out.resolve()):
        raise InputError(f"{source} lies in {out}, which the run would replace; choose another folder.")


def _write(admitted: Admitted, metacells: AnnData, folder: Path) -> None:
    write_h5ad(metacells, folder / METACELLS)
    admitted.restore_registration()
    write_h5ad(admitted.adata, folder / CELLS)


def _draw_figures(metacells: AnnData, model: SCPROTO) -> dict[str, bytes] | None:
    """Draw what shows no UMAP, while another process lays that out; what fails is left to the report."""
    from ..reporting import draw_figures

    with suppress(Exception):
        return draw_figures(metacells, model.history)
    return None


def _write_report(
    adata: AnnData,
    metacells: AnnData,
    model: SCPROTO,
    settings: Settings,
    folder: Path,
    figures: dict[str, bytes] | None,
) -> list[str]:
    """Write the report, and tell which files that has made."""
    from ..reporting import write_report

    before = set(list_files(folder))
    label_key = settings.label_keys[0] if settings.label_keys else None
    write_report(
        adata,
        metacells,
        model.history,
        asdict(settings) | library_versions(),
        folder / REPORT,
        label_key=label_key,
        figures=figures,
    )
    return sorted({*list_files(folder)} - before)
