"""Details stored with the results. This module is quick to import."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from scproto._files import atomic_path


def commit() -> str:
    """Return the short hash of the current commit, or nothing outside a repository."""
    command = ["git", "rev-parse", "--short=7", "HEAD"]
    try:
        return subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True).stdout.strip()
    except OSError:  # no git
        return ""


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file; an interruption leaves no partial file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2, default=lambda number: number.item()) + "\n")
