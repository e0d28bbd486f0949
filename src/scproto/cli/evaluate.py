"""``scproto evaluate``: how good an embedding and its metacells are, against known labels."""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from .. import _keys
from .._errors import InputError
from ._console import quiet, say, stage

if TYPE_CHECKING:
    import pandas as pd


def evaluate(
    cells: Annotated[Path, typer.Argument(metavar="CELLS", help="cells.h5ad of a run, or any .h5ad or .zarr.")],
    label_key: Annotated[str, typer.Option(help="Column of obs with the known labels.")],
    batch_key: Annotated[str, typer.Option(help="Column of obs that names the batch.")] = _keys.BATCH,
    embedding: Annotated[str, typer.Option(help="Embedding in obsm.")] = _keys.LATENT,
    assignment: Annotated[str, typer.Option(help="Column of obs that names the metacell.")] = _keys.METACELL,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write the scores as JSON to this file, too.")] = None,
) -> None:
    """Score an embedding (scIB) and metacells against known labels.

    Cells without a label are left out. The integration scores use at most 8,000 cells.

    Example: [bold]scproto evaluate run/cells.h5ad --label-key cell_type --out scores.json[/]
    """
    with quiet():
        from .._files import atomic_path
        from .._read import check_readable, read_annotation

        check_readable(cells)
        with atomic_path(out) if out is not None else nullcontext() as path:
            with stage("Reading"):
                obs, obsm = read_annotation(cells)
            for key in (batch_key, label_key, assignment):
                _check_exists(key, list(obs.columns), "obs")
            _check_exists(embedding, list(obsm), "obsm")
            scores = _score(obs, obsm[embedding], label_key=label_key, batch_key=batch_key, assignment=assignment)
            if path is not None:
                path.write_text(json.dumps(scores, indent=2) + "\n")
    Console().print(_table(scores))
    if out is not None:
        say(f"Written to {out}.")


def _score(obs: pd.DataFrame, embedding: Any, *, label_key: str, batch_key: str, assignment: str) -> dict[str, Any]:
    from ..metrics import integration_scores, metacell_scores

    known = obs[[label_key, batch_key, assignment]].notna().all(axis=1).to_numpy()
    if not known.any():
        raise InputError(f"No cell has a value in all of obs: {label_key!r}, {batch_key!r} and {assignment!r}.")
    if not known.all():
        say(f"{(~known).sum():,} cells without label, batch or metacell are left out.")
    labels, batches, metacells = (obs.loc[known, key].astype(str) for key in (label_key, batch_key, assignment))
    with stage("Metacells"):
        of_metacells = metacell_scores(metacells, labels, batches)
    with stage("Integration"):
        of_integration = integration_scores(embedding[known], labels, batches)
    return {"n_cells": int(known.sum()), "metacells": of_metacells, "integration": of_integration}


def _check_exists(name: str, names: list[str], where: str) -> None:
    if name not in names:
        raise InputError(f"{where} has no {name!r}; it has {', '.join(map(str, names)) or 'nothing'}.")


def _table(scores: dict[str, Any]) -> Table:
    table = Table("part", "score", "value")
    table.columns[2].justify = "right"
    for part in ("metacells", "integration"):
        for name, value in scores[part].items():
            table.add_row(part, name, f"{value:.3f}" if isinstance(value, float) else str(value))
        table.add_section()
    return table
