"""The command line: ``scproto fit | map | compare | demo | evaluate``."""

from __future__ import annotations

import io
import signal
import sys
from types import FrameType
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from . import compare, demo, evaluate, fit
from . import map as mapping
from .console import say_error
from .errors import HANGUP, TERMINATED, explain

_USAGE = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")
"""Error that the command line's parser raises and explains itself; its module depends on the version of typer."""


class _Commands(TyperGroup):
    """All commands. Every error ends in one sentence and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except SystemExit as stop:  # a signal ended the command
            if hasattr(stop, "__notes__"):
                say_error(" ".join(stop.__notes__))
            raise
        except BaseException as error:
            if isinstance(error, (typer.Exit, typer.Abort, BrokenPipeError, _USAGE)):
                raise
            raise typer.Exit(explain(error)) from error


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        from .. import __version__

        typer.echo(f"scproto {__version__}")
        raise typer.Exit


@app.callback()
def _scproto(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Metacells across batches and an integrated embedding from single-cell counts.

    Example: [bold]scproto fit cells.h5ad --batch-key study --out run[/]
    """


app.command("fit")(fit.fit)
app.command("map")(mapping.map_cells)
app.command("compare")(compare.compare)
app.command("demo")(demo.demo)
app.command("evaluate")(evaluate.evaluate)


def _terminate(signal_number: int, frame: FrameType | None) -> None:
    sys.exit(HANGUP if signal_number == getattr(signal, "SIGHUP", None) else TERMINATED)


def main() -> None:
    """Run the command line."""
    for stream, errors in ((sys.stdout, "backslashreplace"), (sys.stderr, "replace")):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=errors)  # the terminal may lack some characters
    for name in ("SIGTERM", "SIGHUP"):  # so that a job that is ended leaves no temporary files behind either
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) != signal.SIG_IGN:  # nohup ignores SIGHUP
            signal.signal(number, _terminate)
    app()
