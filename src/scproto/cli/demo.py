"""``scproto demo``: a fit of the data set that comes with the package."""

from __future__ import annotations

from pathlib import Path

from . import options
from .console import quiet, run_summary, say, show, stage, stderr

N_PROTOTYPES = 30
"""More than the default for so few cells, so that the figures show some structure."""


def demo(
    out: options.Out = Path("demo_run"),
    overwrite: options.Overwrite = False,
) -> None:
    """Fit 700 real blood cells as three simulated labs would have measured them.

    The demo needs no network and no file. It writes the same folder as scproto fit.

    Example: [bold]scproto demo --out demo_run[/]
    """
    with quiet():
        from ..datasets import pbmc_three_labs
        from ..run import Settings, run

        say("700 real blood cells as three simulated labs measured them: labs should mix, cell types should not.")
        settings = Settings(batch_key=("lab",), label_keys=("cell_type",), n_prototypes=N_PROTOTYPES)
        record = run(
            pbmc_three_labs, out, settings, overwrite=overwrite, announce=stage, progress_bar=stderr.is_terminal
        )
    show(run_summary(record, out))
