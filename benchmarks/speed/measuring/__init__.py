"""The parts of ``speed.py``: their measurements, the processes that they run in, and their tables."""
