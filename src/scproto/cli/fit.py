"""``scproto fit``: from a file of counts to a run folder."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

import typer

from .._errors import InputError
from .console import quiet, run_summary, say, show, stage, stderr


class Accelerator(StrEnum):
    """Device of the training."""

    auto = "auto"
    cpu = "cpu"
    gpu = "gpu"


def parse_n_prototypes(text: str) -> int | Literal["auto"]:
    """Parse a number of prototypes or "auto"."""
    if text == "auto":
        return "auto"
    if not text.isdecimal() or int(text) < 1:
        raise typer.BadParameter(
            f"{text!r} is neither a whole number of at least 1 nor 'auto'.", param_hint="--n-prototypes"
        )
    return int(text)


def fit(
    cells: Annotated[
        Path,
        typer.Argument(metavar="CELLS", help="Counts as an .h5ad file, .zarr folder, or 10x .h5 file or folder."),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Run folder to create.")],
    batch_key: Annotated[
        list[str] | None,
        typer.Option(help="Column of obs with the batch. Repeat the option to combine several columns."),
    ] = None,
    layer: Annotated[str | None, typer.Option(help="Layer that holds the counts.", show_default="X")] = None,
    raw: Annotated[bool, typer.Option("--raw", help="Use the counts and genes of raw instead of X.")] = False,
    round_counts: Annotated[
        bool,
        typer.Option(
            "--round-counts", help="Round fractional counts (SoupX, alevin, RSEM) at random, depending on the seed."
        ),
    ] = False,
    n_prototypes: Annotated[
        str, typer.Option(help="Number of metacells; auto gives one per 75 cells.", metavar="INTEGER|auto")
    ] = "auto",
    label_key: Annotated[
        list[str] | None,
        typer.Option(help="Column of obs to carry over to the metacells; the fit never uses it. May be repeated."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed. The same seed gives the same result.")] = 0,
    max_steps: Annotated[
        int | None, typer.Option(min=1, help="Number of training steps.", show_default="depends on the number of cells")
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Number of CPU threads. With 1, no second process prepares the UMAP.",
            show_default="one less than the number of cores",
        ),
    ] = None,
    accelerator: Annotated[Accelerator, typer.Option(help="Device of the training.")] = Accelerator.auto,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an earlier run once the new one is complete.")
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue the training of a stopped run into the same folder.")
    ] = False,
    no_report: Annotated[bool, typer.Option("--no-report", help="Skip UMAP, figures and report.")] = False,
) -> None:
    """Find metacells and an embedding across the batches of CELLS.

    The command writes cells.h5ad, metacells.h5ad, model/, report.html, figures/ and run.json into one folder.

    Example: [bold]scproto fit cells.h5ad --batch-key study --label-key cell_type --out run[/]
    """
    number = parse_n_prototypes(n_prototypes)
    with quiet():
        from ..run import Settings, run

        settings = Settings(
            batch_key=tuple(batch_key or ()),
            label_keys=tuple(label_key or ()),
            layer=layer,
            raw=raw,
            round_counts=round_counts,
            n_prototypes=number,
            max_steps=max_steps,
            seed=seed,
            threads=threads,
            accelerator=accelerator.value,
            report=not no_report,
        )
        if raw and layer:
            raise InputError("--raw and --layer name two places for the counts; give only one.")
        if not batch_key:
            say("Without --batch-key, all cells are taken as one batch.")
        record = run(
            cells,
            out,
            settings,
            overwrite=overwrite,
            resume=resume,
            announce=stage,
            progress_bar=stderr.is_terminal,
        )
    show(run_summary(record, out))
