"""Help and version, and how fast they start."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version

import pytest

HEAVY = {"torch", "lightning", "scvi", "scanpy", "anndata", "sklearn", "faiss", "umap", "matplotlib", "pandas", "numpy"}


@pytest.mark.parametrize(
    "arguments", [["--help"], *([name, "--help"] for name in ("fit", "map", "compare", "demo", "evaluate"))]
)
def test_help_has_an_example_and_imports_nothing_heavy(arguments):
    code = f"""
import sys
from scproto.cli import app
try:
    app({arguments!r})
finally:
    print(*{{name.split(".")[0] for name in sys.modules}}, file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "Example: scproto " in done.stdout
    assert not HEAVY & set(done.stderr.split())


def test_the_command_itself_imports_nothing_heavy():
    command = [sys.executable, "-X", "importtime", "-m", "scproto", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    imported = {line.rsplit("|", 1)[1].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    assert "scproto.cli" in imported  # the output was parsed correctly
    assert not HEAVY & imported


@pytest.mark.parametrize("command", [["-m", "scproto"], ["-c", "from scproto.cli import main; main()"]])
def test_both_entry_points_print_the_version(command):
    done = subprocess.run([sys.executable, *command, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"scproto {version('scproto')}\n"


def test_without_a_command_the_help_is_shown(cli):
    result = cli()
    assert result.exit_code == 2
    assert "evaluate" in result.output
