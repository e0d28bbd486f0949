"""Run one measurement for ``speed.py`` in this process.

    python benchmarks/speed/worker.py TASK ARGUMENTS RESULT.json --threads 1

ARGUMENTS is JSON. The process imports only the module of its task, so that it loads no more than it needs.
"""

from __future__ import annotations

import argparse
import json
import sys
from importlib import import_module
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))

from lab.records import commit, write_json
from measuring.setup import machine

TASKS = ("simulate", "fit", "stages", "whole", "throughput", "growth", "device")
"""Modules of ``measuring`` that have a function ``measure``."""


def main() -> None:
    """Measure, and write the result together with the machine."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=TASKS)
    parser.add_argument("arguments", type=json.loads)
    parser.add_argument("result", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    about = {"task": given.task, "commit": commit(), "machine": machine(given.threads), "arguments": given.arguments}
    found = import_module(f"measuring.{given.task}").measure(given.arguments)
    write_json(given.result, about | {"result": found})


if __name__ == "__main__":
    main()
