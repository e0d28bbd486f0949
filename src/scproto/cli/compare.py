"""``scproto compare``: which metacells of a run change in abundance between conditions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from .console import quiet, say, show, stage

if TYPE_CHECKING:
    import pandas as pd

N_SHOWN = 10
"""Number of lines that are printed for each condition."""


def compare(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder that scproto fit wrote.")],
    sample_key: Annotated[str, typer.Option(help="Column of obs with the sample; samples are the replicates.")],
    condition_key: Annotated[str, typer.Option(help="Column of obs with the condition, one per sample.")],
    reference: Annotated[
        str | None,
        typer.Option(help="Condition that the others are compared with.", show_default="the first of two"),
    ] = None,
    donor_key: Annotated[
        str | None,
        typer.Option(help="Column of obs with the donor, if donors gave several samples; compares within donors."),
    ] = None,
    block_key: Annotated[
        str | None, typer.Option(help="Column of obs with the study or another block; compares within blocks.")
    ] = None,
) -> None:
    """Find metacells, and branches of their tree, that change in abundance between conditions.

    The command writes compare.html and compare.csv into the run folder.

    Example: [bold]scproto compare run --sample-key donor --condition-key disease[/]
    """
    with quiet():
        from ..run.compare import PAGE, TABLE, compare_run

        with stage("Comparing"):
            table = compare_run(
                run, sample_key, condition_key, reference=reference, donor_key=donor_key, block_key=block_key
            )
    for condition, part in table.groupby("condition", sort=False):
        show(_headline(str(condition), part), _first(part))
    say(f"Written to {run / PAGE} and {run / TABLE}.")


def _headline(condition: str, part: pd.DataFrame) -> str:
    from ..pl.compare import called

    found = part.loc[called(part), "kind"].value_counts()
    tested = part.loc[part["pvals"].notna(), "kind"].value_counts()
    return (
        f"{condition} against {part['reference'].iloc[0]}: {found.get('metacell', 0)} of "
        f"{tested.get('metacell', 0)} metacells and {found.get('branch', 0)} of {tested.get('branch', 0)} branches "
        "change at a false discovery rate of 5 %."
    )


def _first(part: pd.DataFrame) -> Table:
    """Lines with the smallest p-values."""
    table = Table("group", "metacells", "cells", "log2 change", "95 % interval", "p", "FDR")
    for column in table.columns[1:]:
        column.justify, column.no_wrap = "right", True
    for line in part.dropna(subset="pvals").sort_values("pvals", kind="stable").head(N_SHOWN).itertuples():
        table.add_row(
            Text(line.group),
            str(line.n_metacells),
            f"{line.n_cells:,}",
            f"{line.logfoldchanges:+.2f}",
            f"{line.ci_low:+.2f} to {line.ci_high:+.2f}",
            f"{line.pvals:.2g}",
            f"{line.pvals_adj:.2g}",
        )
    return table
