"""Detection of the kind of values in a matrix: counts, fractional counts or normalised values."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

import numpy as np
import scipy.sparse as sp

from .values import Values

MOST = 2**53
"""Largest count: above it, double precision cannot represent every whole number."""

LOG_CEILING = 20.0
"""Upper bound of log-transformed expression (log1p of a million counts is 13.8)."""

N_SAMPLED = 200
"""Number of cells that are sampled for the closer tests."""

SAME_TOTAL = 0.02
"""Relative spread of the cell totals below which the cells are taken to be scaled to one total."""

MULTIPLES = 0.8
"""Share of values that are multiples of the smallest in their cell; above it, the cells are taken to be scaled."""

LOG_TYPICAL = 2.0
"""Median of the positive values above which they may be logs of a subset of the genes. Raw counts are mostly ones.

The cell totals decide then. Undoing a real log gives totals with the spread of expression. Undoing a log that was never
taken, on counts, gives totals with a far larger spread.
"""


class Kind(Enum):
    """Kinds of values."""

    COUNTS = "counts"
    NEARLY = "counts with errors of rounding"
    FRACTIONAL = "fractional counts"
    LOGS = "log-normalised"
    SCALED = "normalised"
    NEGATIVE = "negative"
    MISSING = "missing or infinite"
    HUGE = "too large"


def kind_of(x: sp.csr_matrix, values: Values) -> Kind:
    """Determine what kind of values a matrix holds.

    Tools that correct counts (SoupX, CellBender, alevin, RSEM) leave fractions. Corrected counts keep the spread of the
    sequencing depths and have no unit. Normalised values have a unit in each cell: what a single count has become. All
    other values of the cell are multiples of it, or the sum is the same in all cells. For log-transformed values, this
    holds once the log is undone.

    Parameters
    ----------
    x
        Canonical matrix, ``(n_cells, n_genes)``.
    values
        Result of :func:`scproto.counts.examine` for it.

    Returns
    -------
    kind : Kind
        Kind of the values.
    """
    if not np.isfinite([values.lowest, values.highest]).all():
        return Kind.MISSING
    if values.lowest < 0:
        return Kind.NEGATIVE
    if values.highest > MOST:
        return Kind.HUGE
    if values.nearly_whole:
        return Kind.COUNTS if values.whole else Kind.NEARLY
    rows = _sample(x)
    if values.highest < LOG_CEILING and _are_logs(rows):
        return Kind.LOGS
    return Kind.SCALED if _were_scaled(rows) else Kind.FRACTIONAL


def _sample(x: sp.csr_matrix) -> list[np.ndarray]:
    """Positive values of evenly spaced cells, in double precision."""
    cells = np.unique(np.linspace(0, x.shape[0] - 1, N_SAMPLED).astype(int))
    rows = (x.data[x.indptr[cell] : x.indptr[cell + 1]].astype(np.float64) for cell in cells)
    return [row for row in rows if len(row)]


def _are_logs(rows: list[np.ndarray]) -> bool:
    if any(_were_scaled(rows, undo) for undo in (np.expm1, _undo_log2, _undo_log10)):
        return True
    totals = np.array([np.expm1(row).sum() for row in rows])
    return float(np.median(np.concatenate(rows))) > LOG_TYPICAL and totals.std() < totals.mean()


def _undo_log2(values: np.ndarray) -> np.ndarray:
    return np.exp2(values) - 1


def _undo_log10(values: np.ndarray) -> np.ndarray:
    return 10.0**values - 1


def _were_scaled(rows: list[np.ndarray], undo: Callable[[np.ndarray], np.ndarray] = np.asarray) -> bool:
    """Whether the cells have equal totals, or values that are multiples of the smallest value in their cell.

    Whole numbers do not count as multiples, because counts with a few fractions are mostly whole.
    """
    undone = [undo(row) for row in rows]
    totals = np.array([row.sum() for row in undone])
    if len(totals) > 2 and totals.std() < SAME_TOTAL * totals.mean():
        return True
    multiples = np.concatenate(
        [values[row != np.rint(row)] / values.min() for row, values in zip(rows, undone, strict=True)]
    )
    multiples = multiples[(multiples > 1.5) & (multiples < 50)]  # above 50, the error hides the fraction
    return len(multiples) > 0 and float((np.abs(multiples - np.rint(multiples)) < 0.02).mean()) > MULTIPLES
