"""The whole way from a file of counts to a run folder."""

from __future__ import annotations

import gc
import json
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from anndata import AnnData

from . import _keys
from ._errors import InputError
from ._files import atomic_folder, atomic_path
from ._memory import give_back_freed, peak_memory
from ._read import check_readable, read_cells
from ._standby import Standby
from ._threads import default_threads, limit_threads, n_cores
from ._versions import library_versions

if TYPE_CHECKING:
    from .model import SCPROTO

CELLS, METACELLS = "cells.h5ad", "metacells.h5ad"

MARKER = "run.json"
"""The file that tells a run folder from any other; written last."""

Source = str | Path | Callable[[], AnnData]

Announce = Callable[[str], AbstractContextManager[object]]


@dataclass(frozen=True)
class Settings:
    """What a run is asked to do; the defaults are those of ``scproto fit``."""

    batch_key: tuple[str, ...] = ()
    label_keys: tuple[str, ...] = ()
    layer: str | None = None
    n_prototypes: int | Literal["auto"] = "auto"
    max_steps: int | None = None
    seed: int = 0
    threads: int | None = None
    accelerator: str = "auto"
    report: bool = True


@dataclass(frozen=True)
class Stages:
    """Times the stages of a run, and announces each to whoever watches."""

    announce: Announce = nullcontext
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Time the block under `name`."""
        start = perf_counter()
        with self.announce(name):
            yield
        self.seconds[name] = round(perf_counter() - start, 3)


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
        A ``.h5ad`` or ``.zarr`` file, or a function that gives the cells.
    out
        The run folder: ``cells.h5ad``, ``metacells.h5ad``, ``model/``, ``report.html``, ``figures/`` and
        ``run.json``. It is complete, or it is not there; the report is added last.
    settings
        Keys, sizes and seed.
    overwrite
        Replace an earlier run, once this one is complete.
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
    """
    stages = Stages(announce)
    give_back_freed()
    with atomic_folder(out, overwrite, marker=MARKER) as folder:
        if not callable(source):
            check_readable(source)
            _check_outside(Path(source), Path(out))
        with stages("Reading"):
            adata = source() if callable(source) else read_cells(source)
        with stages("Checking"):
            _check(adata, settings)
        with _layout(settings) as layout:
            with stages("Loading libraries"):
                load_libraries(settings.accelerator)
            with limit_threads(settings.threads or default_threads()):
                model, metacells = fit(adata, settings, stages, layout, progress_bar=progress_bar)
                with stages("Writing"):
                    _write(adata, metacells, model, folder)
                if settings.report:
                    with stages("Figures"):
                        figures = _draw_figures(metacells, model)
                    with stages("UMAP"):
                        _add_umap(adata, metacells, layout, settings.seed, folder)
        record = _record(source, settings, stages, adata, model.history, layout)
        _write_record(record, folder)
    if settings.report:
        out = Path(out).expanduser()
        with stages("Report"):  # should it fail, the run is there without it
            _write_report(adata, metacells, model, settings, out, figures)
        record["peak_memory_mib"] = _peak_memory(layout)
        _write_record(record, out)
    return record


def _layout(settings: Settings) -> AbstractContextManager[Standby]:
    """UMAP, made ready on another core meanwhile; not where one is to do, or the process has it ready."""
    from .graph import umap_layout

    layout = Standby(umap_layout, np.eye(16))
    if not settings.report or settings.threads == 1 or n_cores() == 1 or "umap" in sys.modules:
        return nullcontext(layout)
    return layout


def fit(
    adata: AnnData, settings: Settings, stages: Stages, layout: Standby, *, progress_bar: bool
) -> tuple[SCPROTO, AnnData]:
    """Prepare the cells, train a model on them and gather the metacells; `adata` gets the results."""
    import scproto

    batch_key = settings.batch_key or None
    with stages("Preparing"):
        scproto.pp.prepare(adata, batch_key, layer=settings.layer, seed=settings.seed)
    with stages("Training"), _interruptible():
        scproto.SCPROTO.setup_anndata(adata, layer=settings.layer, batch_key=batch_key)
        model = scproto.SCPROTO(adata, n_prototypes=settings.n_prototypes, seed=settings.seed)
        model.train(max_steps=settings.max_steps, accelerator=settings.accelerator, enable_progress_bar=progress_bar)
    with stages("Metacells"):
        scproto.tl.assign_metacells(adata, model)
        if settings.report:
            points = np.concatenate([adata.obsm[_keys.LATENT], model.prototypes])
            layout.begin(points, settings.seed)  # which tl.umap asks for
        adata.uns[_keys.UNS] |= {"settings": _storable(settings), "seed": settings.seed}
        metacells = model.get_metacells(label_keys=settings.label_keys)
    with stages("Check"):
        adata.uns[_keys.UNS]["verdict"] = scproto.tl.check(adata, seed=settings.seed).to_json()
    return model, metacells


def _storable(settings: Settings) -> dict[str, Any]:
    """Return the settings that were given, as AnnData can write them."""
    given = {name: value for name, value in asdict(settings).items() if value not in (None, ())}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in given.items()}


def _check(adata: AnnData, settings: Settings) -> None:
    from .pp.checks import check_adata

    check_adata(
        adata,
        batch_key=settings.batch_key,
        layer=settings.layer,
        label_keys=settings.label_keys,
        n_prototypes=None if settings.n_prototypes == "auto" else settings.n_prototypes,
    )


def _check_outside(source: Path, out: Path) -> None:
    if source.resolve().is_relative_to(out.expanduser().resolve()):
        raise InputError(f"{source} lies in {out}, which the run would replace; choose another folder.")


def load_libraries(accelerator: str) -> None:
    """Import what takes long, so that the timings of the later stages are those of their work.

    Python's collector would look through the objects of the imports, which all stay, again and again: a fifth of the
    time. From here on it leaves them out.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        import torch

        from .model import SCPROTO  # noqa: F401
    finally:
        gc.freeze()
        if collecting:
            gc.enable()
    if accelerator == "gpu" and not (torch.cuda.is_available() or torch.backends.mps.is_available()):
        raise InputError("torch finds no GPU here; use --accelerator auto or cpu.")


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let Ctrl-C out of the training: Lightning turns it into an exit and ignores it from then on."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit as stop:
        if not isinstance(stop.__context__, KeyboardInterrupt):
            raise
        signal.signal(signal.SIGINT, handler)
        raise KeyboardInterrupt from stop


def _draw_figures(metacells: AnnData, model: SCPROTO) -> dict[str, bytes] | None:
    """Draw what shows no UMAP, while another process lays that out; what fails is left to the report."""
    from .reporting import draw_figures

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
) -> None:
    from .reporting import write_report

    label_key = settings.label_keys[0] if settings.label_keys else None
    write_report(
        adata,
        metacells,
        model.history,
        asdict(settings) | library_versions(),
        folder / "report.html",
        label_key=label_key,
        figures=figures,
    )


def _write(adata: AnnData, metacells: AnnData, model: SCPROTO, folder: Path) -> None:
    model.save(folder / "model")
    metacells.write_h5ad(folder / METACELLS, compression="gzip")
    for table in (adata.uns, adata.obs, adata.obsm):  # scvi-tools' registration: random ids and copies
        for key in [key for key in table if str(key).startswith("_scvi")]:
            del table[key]
    adata.write_h5ad(folder / CELLS, compression="gzip")


def _add_umap(adata: AnnData, metacells: AnnData, layout: Standby, seed: int, folder: Path) -> None:
    """Add the UMAP, which another process lays out while the files are written, to cells, metacells and files.

    It is copied to where viewers look for one, unless the cells came with their own: the two files should agree.
    """
    import h5py
    from anndata.io import write_elem

    from .tl import umap

    umap(adata, metacells, seed=seed, make_layout=layout)
    keys = [_keys.UMAP]
    if _keys.SHOWN_UMAP not in adata.obsm:
        keys.append(_keys.SHOWN_UMAP)
        for data in (adata, metacells):
            data.obsm[_keys.SHOWN_UMAP] = data.obsm[_keys.UMAP].copy()
    for data, name in ((adata, CELLS), (metacells, METACELLS)):
        with h5py.File(folder / name, "r+") as file:
            for key in keys:
                write_elem(file["obsm"], key, data.obsm[key], dataset_kwargs={"compression": "gzip"})


def _write_record(record: dict[str, Any], folder: Path) -> None:
    with atomic_path(folder / MARKER) as path:
        path.write_text(json.dumps(record, indent=2, allow_nan=False) + "\n")


def _record(
    source: Source,
    settings: Settings,
    stages: Stages,
    adata: AnnData,
    history: Mapping[str, pd.DataFrame],
    layout: Standby,
) -> dict[str, Any]:
    last = {name: _last(values) for name, values in history.items()}
    return {
        "input": source.__name__ if callable(source) else str(source),
        "settings": asdict(settings),
        "seed": settings.seed,
        "versions": library_versions(),
        "n_cells": adata.n_obs,
        "n_genes": adata.n_vars,
        "batches": {str(name): int(n) for name, n in adata.obs[_keys.BATCH].value_counts(sort=False).items()},
        "timings": stages.seconds,
        "peak_memory_mib": _peak_memory(layout),
        "losses": {name: value for name, value in last.items() if name.startswith("loss")},
        "diagnostics": {name: value for name, value in last.items() if not name.startswith("loss")},
        "metacells": _describe_metacells(adata, settings.label_keys),
        "verdict": adata.uns.get(_keys.UNS, {}).get("verdict"),
    }


def _peak_memory(layout: Standby) -> float | None:
    """Largest resident memory of this process and, which may have come at another time, that for UMAP, in MiB."""
    own = peak_memory()
    return round(own + layout.peak_memory, 1) if own else None


def _last(values: pd.DataFrame) -> float | None:
    """Return the last value of a history that is a number; JSON has no NaN."""
    numbers = values.to_numpy(dtype=float).ravel()
    numbers = numbers[np.isfinite(numbers)]
    return float(numbers[-1]) if len(numbers) else None


def _describe_metacells(adata: AnnData, label_keys: tuple[str, ...]) -> dict[str, Any]:
    from .metrics import metacell_scores

    obs = adata.obs
    scores = metacell_scores(obs[_keys.METACELL].astype(str), None, obs[_keys.BATCH].astype(str))
    purity = {}
    for key in label_keys:
        known = obs.loc[obs[key].notna(), [_keys.METACELL, key]].astype(str)
        purity[key] = metacell_scores(known[_keys.METACELL], known[key])["purity"] if len(known) else None
    return scores | {"n_outliers": int(obs[_keys.OUTLIER].sum()), "purity": purity}
