"""What kind of values a matrix holds: counts, fractional counts, or what a normalisation left."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

import numpy as np
import scipy.sparse as sp

from .values import Values

MOST = 2**53
"""Largest count: beyond it, double precision does not tell whole numbers apart."""

LOG_CEILING = 20.0
"""Log-transformed expression stays below this (log1p of a million counts is 13.8)."""

N_SAMPLED = 200
"""Cells that are looked at more closely."""

SAME_TOTAL = 0.02
"""Relative spread of the totals of cells below which they were made equal."""

MULTIPLES = 0.8
"""Share of values that are multiples of the smallest in their cell above which the cell was scaled."""

LOG_TYPICAL = 2.0
"""Median of the positive values above which they may be logs of the genes of a part: few counts are mostly ones.

The totals tell the two apart then: those of undone logs have the spread of expression, those of counts, taken for logs
and undone, far more.
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
    """Tell counts from other values.

    Tools that correct counts (SoupX, CellBender, alevin, RSEM) leave fractions. Those have the spread of depths, and no
    unit. Normalised values have one in each cell: what a single count has become, so that the others are multiples of
    it; or their sum is the same in all cells. Of logs this holds once the log is undone.

    Parameters
    ----------
    x
        Canonical, ``(n_cells, n_genes)``.
    values
        What :func:`scproto.counts.examine` finds in it.
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
    """Positive values of some cells, evenly spread, in double precision."""
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
    """Whether the cells have equal totals, or values that are multiples of the smallest in their cell.

    Whole numbers are left out of the multiples: counts with a few fractions consist of them.
    """
    undone = [undo(row) for row in rows]
    totals = np.array([row.sum() for row in undone])
    if len(totals) > 2 and totals.std() < SAME_TOTAL * totals.mean():
        return True
    multiples = np.concatenate(
        [values[row != np.rint(row)] / values.min() for row, values in zip(rows, undone, strict=True)]
    )
    multiples = multiples[(multiples > 1.5) & (multiples < 50)]  # of larger ones the error hides the fraction
    return len(multiples) > 0 and float((np.abs(multiples - np.rint(multiples)) < 0.02).mean()) > MULTIPLES
