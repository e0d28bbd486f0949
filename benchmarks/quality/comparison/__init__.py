"""The parts of ``compare.py``: inputs, methods, environments, runs, scores, tables and plots."""
