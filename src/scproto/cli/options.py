"""Options of ``scproto fit``, two of which ``scproto demo`` shares."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

import typer

from .._errors import InputError


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


def check_place(raw: bool, layer: str | None) -> None:
    """Refuse two places for the counts."""
    if raw and layer:
        raise InputError("--raw and --layer name two places for the counts; give only one.")


Cells = Annotated[
    Path, typer.Argument(metavar="CELLS", help="Counts as an .h5ad file, .zarr folder, or 10x .h5 file or folder.")
]
Out = Annotated[Path, typer.Option("--out", "-o", help="Run folder to create.")]
BatchKey = Annotated[
    list[str] | None,
    typer.Option(help="Column of obs with the batch. Repeat the option to combine several columns."),
]
Layer = Annotated[str | None, typer.Option(help="Layer that holds the counts.", show_default="X")]
Raw = Annotated[bool, typer.Option("--raw", help="Use the counts and genes of raw instead of X.")]
RoundCounts = Annotated[
    bool,
    typer.Option(
        "--round-counts", help="Round fractional counts (SoupX, alevin, RSEM) at random, depending on the seed."
    ),
]
NPrototypes = Annotated[
    str, typer.Option(help="Number of metacells; auto gives one per 75 cells.", metavar="INTEGER|auto")
]
LabelKey = Annotated[
    list[str] | None,
    typer.Option(help="Column of obs to carry over to the metacells; the fit never uses it. May be repeated."),
]
Seed = Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed. The same seed gives the same result.")]
Seeds = Annotated[
    int,
    typer.Option(
        min=1,
        help="Number of trainings, with the seed and those after it. Only the first is kept; the others tell which "
        "metacells would not come back.",
    ),
]
MaxSteps = Annotated[
    int | None, typer.Option(min=1, help="Number of training steps.", show_default="depends on the number of cells")
]
Threads = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Number of CPU threads. With 1, no second process prepares the UMAP.",
        show_default="one less than the number of cores",
    ),
]
Device = Annotated[Accelerator, typer.Option(help="Device of the training.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an earlier run once the new one is complete.")]
Resume = Annotated[bool, typer.Option("--resume", help="Continue the training of a stopped run into the same folder.")]
NoReport = Annotated[bool, typer.Option("--no-report", help="Skip UMAP, figures and report.")]
