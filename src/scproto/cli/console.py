"""What the commands say: progress and messages to stderr, results to stdout."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, redirect_stdout
from io import TextIOWrapper
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
    "report.html": "the first look: open it in a browser",
    "figures/": "its pictures as PNG files",
    "cells.h5ad": 'your cells with the embedding (obsm["X_scproto"]) and their metacells (obs["metacell"])',
    "metacells.h5ad": 'one metacell per row: decoded profiles, summed counts (layers["counts"]) and batch shares',
    "model/": "the fitted model: scproto.SCPROTO.load",
    "run.json": "settings, versions, timings, losses, diagnostics and the verdict",
}
"""What a run folder holds, the best thing to open first."""


def show(*results: str | Table) -> None:
    """Print results to stdout; letters that its encoding lacks are written as escapes."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    console = Console()
    for result in results:
        console.print(Text(result) if isinstance(result, str) else result, soft_wrap=isinstance(result, str))


def say(message: str) -> None:
    """Print a message to stderr."""
    stderr.print(Text(message), soft_wrap=True)


def say_error(message: str) -> None:
    """Print one sentence in red to stderr."""
    stderr.print(Text(f"Error: {message}", style="red"), soft_wrap=True)


@contextmanager
def stage(name: str) -> Iterator[None]:
    """Show that a stage is running, and afterwards how long it took."""
    start = perf_counter()
    # the training has a bar of its own
    with nullcontext() if name == "Training" else stderr.status(Text(f"{name} ...")):
        yield
    stderr.print(Text.assemble(("✓", "green"), f" {name} ", (f"{perf_counter() - start:.1f} s", "dim")))


@contextmanager
def quiet() -> Iterator[None]:
    """Let scproto's log through to stderr, and of other libraries only errors.

    scproto itself logs and does not warn. What others print (the bar of the training too) goes to stderr, so
    that stdout holds results alone.
    """
    for name in ("scvi", "scib_metrics"):
        logging.getLogger(name).addHandler(logging.NullHandler())  # without one they add their own
    # names in messages may look like markup
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
    """Say in words what a run made, and where it lies."""
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
            "(0: every metacell holds one batch, 1: all batches alike)."
        )
    for key, purity in metacells["purity"].items():
        if purity is not None:
            lines.append(
                f"Purity {purity:.2f}: {purity:.0%} of the cells share the most common {key} of their metacell."
            )
    if record["verdict"]:
        lines += ["", "Check, without labels:", *(f"  {sentence}" for sentence in record["verdict"]["sentences"])]
    lines += ["", f"Written to {out}:"]
    made = [(f"{out}/{name}", purpose) for name, purpose in FILES.items() if (out / name).exists()]
    width = max(len(path) for path, _ in made)
    lines += [f"  {path:<{width}}  {purpose}" for path, purpose in made]
    return "\n".join(lines)
