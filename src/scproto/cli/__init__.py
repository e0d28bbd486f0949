"""The command line: ``scproto fit | demo | evaluate``."""

from __future__ import annotations

import signal
import sys
from types import FrameType
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from .._errors import InputError
from . import demo, evaluate, fit
from ._console import say_error

BAD_INPUT = 2
INTERRUPTED = 130
TERMINATED = 143


class _Commands(TyperGroup):
    """All commands: bad input and Ctrl-C give one line and an exit code; other errors their traceback."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except InputError as error:
            say_error(str(error))
            raise typer.Exit(BAD_INPUT) from error
        except KeyboardInterrupt as interrupt:
            say_error("Interrupted: nothing was written.")
            raise typer.Exit(INTERRUPTED) from interrupt


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
    """Metacells across batches, and an integrated embedding, from single-cell counts.

    Example: [bold]scproto fit cells.h5ad --batch-key study --out run[/]
    """


app.command("fit")(fit.fit)
app.command("demo")(demo.demo)
app.command("evaluate")(evaluate.evaluate)


def _terminate(signal_number: int, frame: FrameType | None) -> None:
    sys.exit(TERMINATED)


def main() -> None:
    """Run the command line."""
    signal.signal(signal.SIGTERM, _terminate)  # a killed job leaves no temporary files behind either
    app()
