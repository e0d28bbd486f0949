"""Bound of the memory that the similarities of cells and prototypes take."""

CHUNK = 16_384
"""Cells whose similarity to all prototypes is held at once."""
