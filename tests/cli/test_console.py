"""Output of the commands."""

from __future__ import annotations

import logging
import os
import subprocess
import sys

from scproto.cli import console

SHOWING = """
from scproto import cli
from scproto.cli import console

cli.app = lambda: console.show("Zürich [bold]")
cli.main()
"""


def test_characters_that_stdout_lacks_are_escaped():
    command = [sys.executable, "-X", "utf8=0", "-c", SHOWING]
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command, capture_output=True, check=True, env=environment)
    assert done.stdout == b"Z\\xfcrich [bold]\n"


def test_names_that_look_like_markup_are_shown_as_they_are(capsys):
    with console.quiet():
        logging.getLogger("scproto.some").info('The label "x [/]" and [bold].')
    console.say("T [/] [red]")
    with console.stage("[/]"):
        pass
    shown = capsys.readouterr().err
    for text in ('The label "x [/]" and [bold].', "T [/] [red]", "✓ [/] 0.0 s"):
        assert text in shown
