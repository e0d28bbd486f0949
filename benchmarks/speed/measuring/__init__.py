"""The parts of ``speed.py``: what each measures, the processes that they run in, and the tables."""
