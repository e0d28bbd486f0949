"""The entrance: turn the user's data into a form that the other packages rely on, or say in one sentence why not.

:mod:`files` reads files of any supported format into AnnData. :mod:`counts` turns the matrix of an AnnData into
canonical counts of its genes. :mod:`checks` checks keys, names and batches.
"""

from __future__ import annotations

from .checks import as_keys, check_adata, choose_n_prototypes, join_batches
from .counts import Counts, is_gene, read_counts, read_prepared
from .files import check_readable, read_cells, read_metacells, read_obs, read_scored

__all__ = [
    "Counts",
    "as_keys",
    "check_adata",
    "check_readable",
    "choose_n_prototypes",
    "is_gene",
    "join_batches",
    "read_cells",
    "read_counts",
    "read_metacells",
    "read_obs",
    "read_prepared",
    "read_scored",
]
