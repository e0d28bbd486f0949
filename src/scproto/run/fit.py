"""From a file of counts to a run folder."""

from __future__ import annotations

import gc
import logging
from collections.abc import Iterator
from contextlib import ExitStack, nullcontext, suppress
from dataclasses import asdict
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any

import numpy as np
from anndata import AnnData

from .. import _keys
from .._arguments import MAX_SEED
from .._errors import InputError
from .._files import atomic_folder, nearest_folder
from .._threads import default_threads, limit_threads
from .._versions import library_versions
from ..inputs import check_readable, read_cells
from .admit import Admitted, admit
from .hdf5 import writing_h5ad
from .job import Job
from .memory import give_back_freed, give_back_holes
from .record import list_files, make_record, whole_memory, write_record, written_files
from .settings import CELLS, MARKER, METACELLS, MODEL, REPORT, Settings, Source
from .stages import Announce, Stages, load_libraries
from .umap import add_umap, layout_job

if TYPE_CHECKING:
    from ..model import SCPROTO

logger = logging.getLogger(__name__)

MOST_LABELS = 100
"""Maximum number of labels in a column for which the model learns them."""


def run(
    source: Source,
    out: str | Path,
    settings: Settings,
    *,
    overwrite: bool = False,
    resume: bool = False,
    announce: Announce = nullcontext,
    progress_bar: bool = False,
) -> dict[str, Any]:
    """Fit scproto to counts, and write all results into one folder.

    Parameters
    ----------
    source
        A file or folder of cells (:func:`scproto.inputs.read_cells`), or a function that returns them.
    out
        The run folder, with ``cells.h5ad``, ``metacells.h5ad``, ``model/``, ``report.html``, ``figures/`` and
        ``run.json``. It is either complete or absent; the report is added last.
    settings
        Keys, sizes, seed and other settings.
    overwrite
        Whether to replace an earlier run, once this one is complete. Files that the earlier run did not write are kept.
    resume
        Whether to continue the training of a run into this folder that was stopped. A run keeps the state of its
        training beside the folder, in ``<out>.checkpoint``, until it is complete.
    announce
        Function that takes the name of a stage and returns a context manager for the duration of the stage.
    progress_bar
        Whether to show the progress bar of the training.

    Returns
    -------
    record : dict
        Content of ``run.json``: settings, versions, timings in seconds, peak memory in MiB, last losses,
        diagnostics, and the verdict of :func:`scproto.tl.check`.

    Raises
    ------
    InputError
        If the input cannot be read or used, the folder cannot be written, or the checkpoint belongs to another run. It
        is raised before any long work.
    OSError
        If the disk fails or fills up during the run. After an error in or after the training, a note of the error says
        where the model and everything else that is complete are kept.
    """
    stages, out = Stages(announce), Path(out).expanduser()
    give_back_freed()
    with atomic_folder(out, overwrite, marker=MARKER, written=written_files, keep=True) as folder:
        if not callable(source):
            check_readable(source)
            _check_outside(Path(source), out)
        checkpoint, resume = _checkpoint(out, resume)
        with stages("Reading"):
            adata = source() if callable(source) else read_cells(source, raw=settings.raw)
        with stages("Checking"):
            admitted = admit(adata, settings, folder)
            settings = admitted.settings
        with layout_job(settings) as job:
            with stages("Loading libraries"):
                load_libraries(settings.accelerator)
            with limit_threads(settings.threads or default_threads()):
                model = train(admitted, stages, folder, checkpoint, resume=resume, progress_bar=progress_bar)
                metacells = assign(admitted, model, stages, job, progress_bar)
                figures = _write(admitted, metacells, model, stages, job, folder)
        record = make_record(source, settings, stages.seconds, adata, model.history, job)
        record["files"] = list_files(folder)
        write_record(record, folder)
    checkpoint.unlink(missing_ok=True)
    if settings.report:
        try:
            with stages("Report"):
                record["files"] += _write_report(adata, metacells, model, settings, out, figures)
        except BaseException as error:
            error.add_note(f"The run in {out} is complete but for its report.")
            raise
        record["peak_memory_mib"] = whole_memory(job)
        write_record(record, out)
    return record


def train(
    admitted: Admitted, stages: Stages, folder: Path, checkpoint: Path, *, resume: bool, progress_bar: bool
) -> SCPROTO:
    """Prepare the cells, train a model on them and save it."""
    from ..model import SCPROTO
    from ..pp.prepare import prepare_counts

    adata, counts, settings = admitted.adata, admitted.counts, admitted.settings
    batch_key = settings.batch_key or None
    with stages("Preparing"):
        prepare_counts(
            adata, counts, batch_key, layer=settings.layer, round_counts=settings.round_counts, seed=settings.seed
        )
    with stages("Training"):
        SCPROTO.setup_anndata(adata, layer=settings.layer, batch_key=batch_key)
        model = _train_one(admitted, settings.seed, progress_bar, checkpoint, resume=resume)
        _save(model, folder)
    learnt = [key for key in settings.label_keys if 1 < adata.obs[key].nunique() <= MOST_LABELS]
    if learnt:
        from ..tl.labels import learn_labels

        with stages("Labels"):
            cells = model.reader.read(adata, counts)
            for key in learnt:
                learn_labels(adata, model, key, source=cells)
            model.save(folder / MODEL, overwrite=True)
    return model


def train_others(admitted: Admitted, stages: Stages, *, progress_bar: bool) -> Iterator[SCPROTO]:
    """Train models with the next seeds, each when it is asked for."""
    settings = admitted.settings
    for i in range(1, settings.seeds):
        with stages(f"Training {i + 1} of {settings.seeds}"):
            model = _train_one(admitted, (settings.seed + i) % (MAX_SEED + 1), progress_bar)
        yield model


def _train_one(
    admitted: Admitted, seed: int, progress_bar: bool, checkpoint: Path | None = None, *, resume: bool = False
) -> SCPROTO:
    """Train a model on prepared cells."""
    from ..model import SCPROTO
    from .callbacks import GiveBack

    settings = admitted.settings
    model = SCPROTO(admitted.adata, n_prototypes=settings.n_prototypes, seed=seed)
    model.train(
        max_steps=settings.max_steps,
        accelerator=settings.accelerator,
        source=model.reader.read(admitted.adata, admitted.counts),
        callbacks=[GiveBack()],
        enable_progress_bar=progress_bar,
        checkpoint=checkpoint,
        resume_from=checkpoint if resume else None,
    )
    gc.collect()  # trainer, loader and plan refer to each other, and to the cells that they read
    give_back_holes()
    return model


def assign(admitted: Admitted, model: SCPROTO, stages: Stages, job: Job, progress_bar: bool) -> AnnData:
    """Write the results into the cells, start the layout, make the table of metacells, and check it."""
    from .. import tl

    adata, settings = admitted.adata, admitted.settings
    with stages("Metacells"):
        tl.assign_metacells(adata, model)
        placement = model.place()
        used = np.unique(placement.assign(placement.level()).metacell)
        if settings.report:
            job.submit(np.concatenate([placement.embedding, placement.centres[used]]), settings.seed)
        adata.uns[_keys.UNS] |= {"settings": settings.storable(), "seed": settings.seed}
        metacells = model.sum_metacells(adata, admitted.counts, label_keys=settings.label_keys)
    if settings.seeds > 1:  # each training is a stage
        others = train_others(admitted, stages, progress_bar=progress_bar)
        metacells.obs[_keys.STABILITY] = tl.stability(adata, model, others=others)
    else:
        with stages("Stability"):
            metacells.obs[_keys.STABILITY] = tl.stability(adata, model)
    with stages("Check"):
        adata.uns[_keys.UNS]["verdict"] = tl.check(adata, seed=settings.seed).to_json()
    return metacells


def _checkpoint(out: Path, resume: bool) -> tuple[Path, bool]:
    """Path of the checkpoint, and whether there is one to resume from."""
    path = nearest_folder(out) / f"{out.name}.checkpoint"
    if path.is_file() and not resume:
        logger.warning("A stopped run left %s, but this run starts anew; add --resume to continue from there.", path)
    if resume and not path.is_file():
        logger.warning("There is no checkpoint %s of a stopped run: the training starts anew.", path)
    return path, resume and path.is_file()


def _save(model: SCPROTO, folder: Path) -> None:
    """Save the model in the run folder or, since training takes long, in a temporary folder if that fails."""
    try:
        model.save(folder / MODEL)
    except (OSError, InputError) as error:
        rescued = Path(mkdtemp(prefix="scproto-")) / MODEL
        model.save(rescued)
        error.add_note(f"The trained model is kept in {rescued}.")
        raise


def _check_outside(source: Path, out: Path) -> None:
    if source.resolve().is_relative_to(out.resolve()):
        raise InputError(f"{source} lies in {out}, which the run would replace; choose another folder for the results.")


def _write(
    admitted: Admitted, metacells: AnnData, model: SCPROTO, stages: Stages, job: Job, folder: Path
) -> dict[str, bytes] | None:
    """Write cells and metacells, then add the UMAP; return the figures drawn while it was laid out."""
    figures = None
    with ExitStack() as files:
        with stages("Writing"):
            add_to_metacells = files.enter_context(writing_h5ad(metacells, folder / METACELLS))
            admitted.restore_registration()
            add_to_cells = files.enter_context(writing_h5ad(admitted.adata, folder / CELLS))
        if admitted.settings.report:
            with stages("Figures"):
                figures = _draw_figures(metacells, model)
            with stages("UMAP"):
                add_umap(admitted.adata, metacells, job, [add_to_cells, add_to_metacells])
    return figures


def _draw_figures(metacells: AnnData, model: SCPROTO) -> dict[str, bytes] | None:
    """Draw the figures without a UMAP, while another process lays it out; what fails is left to the report."""
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
    """Write the report, and return the names of the new files."""
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
