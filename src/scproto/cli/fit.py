"""``scproto fit``: from a file of counts to a run folder."""

from __future__ import annotations

from . import options
from .console import quiet, run_summary, say, show, stage, stderr


def fit(
    cells: options.Cells,
    out: options.Out,
    batch_key: options.BatchKey = None,
    layer: options.Layer = None,
    raw: options.Raw = False,
    round_counts: options.RoundCounts = False,
    n_prototypes: options.NPrototypes = "auto",
    label_key: options.LabelKey = None,
    seed: options.Seed = 0,
    seeds: options.Seeds = 1,
    max_steps: options.MaxSteps = None,
    threads: options.Threads = None,
    accelerator: options.Device = options.Accelerator.auto,
    overwrite: options.Overwrite = False,
    resume: options.Resume = False,
    no_report: options.NoReport = False,
) -> None:
    """Find metacells and an embedding across the batches of CELLS.

    The command writes cells.h5ad, metacells.h5ad, model/, report.html, figures/ and run.json into one folder.

    Example: [bold]scproto fit cells.h5ad --batch-key study --label-key cell_type --out run[/]
    """
    number = options.parse_n_prototypes(n_prototypes)
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
            seeds=seeds,
            threads=threads,
            accelerator=accelerator.value,
            report=not no_report,
        )
        options.check_place(raw, layer)
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
