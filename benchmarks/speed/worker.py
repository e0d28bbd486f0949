"""One measurement in this process, for ``speed.py``.

    python benchmarks/speed/worker.py TASK ARGUMENTS RESULT.json --threads 1

ARGUMENTS is JSON. The module of the task is imported only now, so that a process imports what it needs and no more.
"""

from __future__ import annotations

import argparse
import json
from importlib import import_module
from pathlib import Path

from measuring.setup import machine

from scproto._files import atomic_path

TASKS = ("simulate", "fit", "stages", "whole", "throughput", "step", "growth", "device")
"""Modules of ``measuring`` that have a function ``measure``."""


def main() -> None:
    """Measure and write what was found, with the machine."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=TASKS)
    parser.add_argument("arguments", type=json.loads)
    parser.add_argument("result", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    described = machine(arguments.threads)  # before the measurement makes the machine busy
    found = import_module(f"measuring.{arguments.task}").measure(arguments.arguments)
    record = {"task": arguments.task, "machine": described, "arguments": arguments.arguments, "result": found}
    with atomic_path(arguments.result) as path:
        path.write_text(json.dumps(record, indent=2, allow_nan=False) + "\n")


if __name__ == "__main__":
    main()
