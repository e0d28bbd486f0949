"""Bound of the memory that tables of cells by prototypes or by genes take."""

CHUNK = 512
"""Cells that are embedded, compared with all prototypes or decoded at once; their tables stay in the cache."""
