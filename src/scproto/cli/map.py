"""``scproto map``: new cells onto a fitted model, without training."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import options
from .console import contents, quiet, show, stage

if TYPE_CHECKING:
    from collections.abc import Iterable


def map_cells(
    cells: options.Cells,
    model: Annotated[Path, typer.Option("--model", help="Folder of the model, such as run/model.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to create.")],
    batch_key: Annotated[
        list[str] | None,
        typer.Option(
            help="Column of obs with the batch. May be repeated.", show_default="that of the model, else one batch"
        ),
    ] = None,
    label_key: Annotated[
        list[str] | None,
        typer.Option(help="Label of the reference to transfer. May be repeated; scproto fit --label-key learns them."),
    ] = None,
    coverage: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Share of the sets of labels that hold the true one.")
    ] = 0.9,
    layer: options.Layer = None,
    raw: options.Raw = False,
    round_counts: options.RoundCounts = False,
    threads: options.Threads = None,
    overwrite: options.Overwrite = False,
    no_report: options.NoReport = False,
) -> None:
    """Place the CELLS of a query among the metacells of a fitted model, and transfer labels.

    The query may have new batches, other genes and no labels. The command writes cells.h5ad, metacells.h5ad,
    report.html, figures/ and run.json into one folder.

    Example: [bold]scproto map new.h5ad --model run/model --label-key cell_type --out mapped[/]
    """
    with quiet():
        from ..run.map import MapSettings, map_run

        options.check_place(raw, layer)
        settings = MapSettings(
            batch_key=tuple(batch_key or ()),
            label_keys=tuple(label_key or ()),
            layer=layer,
            raw=raw,
            round_counts=round_counts,
            coverage=coverage,
            threads=threads,
            report=not no_report,
        )
        record = map_run(cells, model, out, settings, overwrite=overwrite, announce=stage)
    show("\n".join([*_summary(record), "", f"Written to {out}:", *contents(out)]))


def _summary(record: dict[str, Any]) -> Iterable[str]:
    """What the mapping found."""
    n_batches, genes = len(record["batches"]), record["genes"]
    yield (
        f"{record['n_cells']:,} cells of {n_batches} batch{'es' * (n_batches > 1)} in {record['n_metacells']:,} "
        "metacells of the reference."
    )
    words = f"{genes['n_matched']:,} of the model's {genes['n_genes']:,} genes are in the query"
    missing = genes["missing_signal"]
    yield words + (f"; the missing ones hold {missing:.0%} of the reference's signal." if missing else ".")
    for key, counts in record["labels"].items():
        n_labels = sum(n > 0 for name, n in counts.items() if name != "unknown")
        yield f"{key}: {n_labels} labels; {counts.get('unknown', 0):,} cells are unknown."
