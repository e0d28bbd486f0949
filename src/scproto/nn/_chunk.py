"""Bound of the memory that tables of cells by prototypes or by genes take."""

CHUNK = 4096
"""Cells that are embedded, compared with all prototypes or decoded at once."""
