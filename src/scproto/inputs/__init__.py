"""The door: what users have becomes what the rest may rely on, or one sentence says why not.

Files of any kind become AnnData (:mod:`files`), and the matrix that an AnnData holds becomes canonical counts of its
genes (:mod:`counts`). Keys, names and batches are checked here, too (:mod:`checks`).
"""

from __future__ import annotations

from .checks import as_keys, check_adata, choose_n_prototypes, join_batches
from .counts import Counts, is_gene, read_counts, read_prepared
from .files import check_readable, read_cells, read_obs, read_scored

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
    "read_obs",
    "read_prepared",
    "read_scored",
]
