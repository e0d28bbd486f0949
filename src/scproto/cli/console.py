"""Output of the commands: progress and messages go to stderr, results to stdout."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, redirect_stdout
from pathlib import Path
from time import perf_counter
from typing import Any

from rich.console import Console
from rich.logging import RichHandler
from rich.table import Table
from rich.text import Text

from .. import _lightning

stderr = Console(stderr=True)

FILES = {
    "report.html": "the report: open it in a browser first",
    "figures/": "the figures of the report as PNG files",
    "cells.h5ad": 'your cells with the embedding (obsm["X_scproto"]) and their metacells (obs["metacell"])',
    "metacells.h5ad": 'one metacell per row: decoded profiles, summed counts (layers["counts"]) and batch shares',
    "model/": "the fitted model, to load with scproto.SCPROTO.load",
    "run.json": "settings, versions, timings, losses, diagnostics and the verdict",
}
"""Contents of a run folder and their purposes, the file to open first at the top."""


def show(*results: str | Table) -> None:
    """Print results to stdout."""
    console = Console()
    for result in results:
        console.print(Text(result) if isinstance(result, str) else result, soft_wrap=isinstance(result, str))


def say(message: str) -> None:
    """Print a message to stderr."""
    stderr.print(Text(message), soft_wrap=True)


def say_error(message: str) -> None:
    """Print an error to stderr, in red."""
    stderr.print(Text(f"Error: {message}", style="red"), soft_wrap=True)


@contextmanager
def stage(name: str) -> Iterator[None]:
    """Show that a stage is running and, at its end, how long it took."""
    start = perf_counter()
    # the training has its own progress bar
    with nullcontext() if name.startswith("Training") else stderr.status(Text(f"{name} ...")):
        yield
    stderr.print(Text.assemble(("✓", "green"), f" {name} ", (f"{perf_counter() - start:.1f} s", "dim")))


@contextmanager
def quiet() -> Iterator[None]:
    """Show scproto's log on stderr, and only errors of other libraries.

    scproto itself logs messages and raises no warnings. Everything that other libraries print (including the progress
    bar of the training) goes to stderr, so that stdout holds only results.
    """
    for name in ("scvi", "scib_metrics"):
        logging.getLogger(name).addHandler(logging.NullHandler())  # without a handler they add their own
    # no markup, because names in messages may look like it
    handler = RichHandler(console=stderr, show_time=False, show_level=False, show_path=False, markup=False)
    handler.addFilter(lambda record: record.name.startswith("scproto") or record.levelno >= logging.ERROR)
    logging.getLogger("scproto").setLevel(logging.INFO)
    logging.getLogger().addHandler(handler)
    try:
        with warnings.catch_warnings(), redirect_stdout(sys.stderr), _lightning.quiet(logging.ERROR):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.getLogger().removeHandler(handler)


def run_summary(record: dict[str, Any], out: Path) -> str:
    """Summary of what a run found and wrote."""
    from ..reporting.summary import mixing

    metacells = record["metacells"]
    n_batches = len(record["batches"])
    lines = [
        f"{record['n_cells']:,} cells of {n_batches} batch{'es' * (n_batches > 1)} "
        f"in {metacells['n_metacells']:,} metacells."
    ]
    if n_batches > 1:
        entropy = metacells["batch_entropy"]
        lines.append(
            f"Batch entropy {entropy:.2f}: the batches are {mixing(entropy)} "
            "(0: each metacell holds a single batch, 1: each metacell holds all batches equally)."
        )
    for key, purity in metacells["purity"].items():
        if purity is not None:
            lines.append(
                f"Purity {purity:.2f}: {purity:.0%} of the cells have the most common {key} of their metacell."
            )
    if record["verdict"]:
        lines += ["", "Check (without labels):", *(f"  {sentence}" for sentence in record["verdict"]["sentences"])]
    lines += ["", f"Written to {out}:", *contents(out)]
    return "\n".join(lines)


def contents(out: Path) -> list[str]:
    """Lines with the files of a folder and their purposes."""
    made = [(f"{out}/{name}", purpose) for name, purpose in FILES.items() if (out / name).exists()]
    width = max(len(path) for path, _ in made)
    return [f"  {path:<{width}}  {purpose}" for path, purpose in made]
