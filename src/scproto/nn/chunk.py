"""Limit on the memory of tables of cells by prototypes or by genes."""

CHUNK = 512
"""Number of cells to embed, decode or compare with all prototypes at a time; their tables stay in the cache."""
