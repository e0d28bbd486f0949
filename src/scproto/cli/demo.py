"""``scproto demo``: the main job on the embedded data set."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .console import quiet, run_summary, say, show, stage, stderr

N_PROTOTYPES = 30
"""More than for as few cells by default, so that the picture shows something."""


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="The run folder to make.")] = Path("demo_run"),
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an earlier run, once the new one is complete.")
    ] = False,
) -> None:
    """Fit 700 real blood cells, as three simulated labs would have measured them.

    Needs no network and no file. Writes the same folder as scproto fit.

    Example: [bold]scproto demo --out demo_run[/]
    """
    with quiet():
        from ..datasets import pbmc_three_labs
        from ..run import Settings, run

        say("700 real blood cells, as three simulated labs measured them: labs should mix, cell types stay apart.")
        settings = Settings(batch_key=("lab",), label_keys=("cell_type",), n_prototypes=N_PROTOTYPES)
        record = run(
            pbmc_three_labs, out, settings, overwrite=overwrite, announce=stage, progress_bar=stderr.is_terminal
        )
    show(run_summary(record, out))
