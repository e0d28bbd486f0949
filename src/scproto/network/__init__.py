"""The network, its objective, and the embedding of the cells."""

from .embed import embed, expression_rows
from .mapping import Mapped, map_cells, remember
from .module import ADDED, Losses, PrototypeModule
from .read_out import fit_read_out, read_out, read_out_prototypes, shares, unit_prototypes

__all__ = [
    "ADDED",
    "Losses",
    "Mapped",
    "PrototypeModule",
    "embed",
    "expression_rows",
    "fit_read_out",
    "map_cells",
    "read_out",
    "read_out_prototypes",
    "remember",
    "shares",
    "unit_prototypes",
]
