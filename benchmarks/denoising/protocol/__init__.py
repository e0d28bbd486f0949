"""The parts of ``denoise.py``: inputs, methods, runs, scores, tables and plots.

Environments and processes are those of ``benchmarks/quality``.
"""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2] / "quality"))
