"""One virtual environment per peer, created from exact pins on first use."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

PYTHON = "python3.11"
"""The Python version of the pins: the newest that all peers support."""

STAMP = "installed"
"""File that is written last, so that an interrupted installation is repeated."""


class InstallationError(RuntimeError):
    """An environment could not be installed."""


@dataclass(frozen=True)
class Environments:
    """The environments in a folder."""

    folder: Path
    python: str | None = None
    """Interpreter to create them with; by default `PYTHON` if it is installed, otherwise the current one."""

    def interpreter(self, requirements: Path | None) -> str:
        """Return the Python of the environment with these pins, or the current Python if there are no pins.

        Raises
        ------
        InstallationError
            If pip fails; the message names the file with its output.
        """
        if requirements is None:
            return sys.executable
        digest = hashlib.sha256(requirements.read_bytes()).hexdigest()[:8]
        environment = (self.folder / f"{requirements.stem}-{digest}").resolve()
        interpreter = environment / "bin" / "python"
        if not (environment / STAMP).exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(environment, ignore_errors=True)
            log = environment.with_suffix(".log")
            venv = [self.python or shutil.which(PYTHON) or sys.executable, "-m", "venv", environment]
            pip = [interpreter, "-m", "pip", "install", "--disable-pip-version-check", "--requirement", requirements]
            with log.open("w") as output:
                for command in (venv, pip):
                    if subprocess.run(command, stdout=output, stderr=output).returncode:
                        raise InstallationError(f"its environment could not be installed, see {log.name}")
            (environment / STAMP).touch()
        return str(interpreter)
