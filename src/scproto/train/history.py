"""The history of a training: values of each quantity per epoch, as tables and as JSON."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

History = Mapping[str, pd.DataFrame]
"""One table per quantity, with the epochs as index and one column of the same name as the quantity."""

Stored = dict[str, dict[str, list[float | None]]]


def history_to_json(history: History | None) -> Stored:
    """Convert a training history to plain lists: epochs and values of each quantity."""
    return {
        name: {"epoch": frame.index.tolist(), "value": [_number(v) for v in frame[name]]}
        for name, frame in (history or {}).items()
    }


def history_from_json(stored: Stored) -> dict[str, pd.DataFrame]:
    """Undo :func:`history_to_json`."""
    return {
        name: pd.DataFrame({name: column["value"]}, index=pd.Index(column["epoch"], name="epoch"), dtype=float)
        for name, column in stored.items()
    }


def n_epochs_of(history: History) -> int:
    """Number of epochs that a history covers."""
    return max((int(frame.index.max()) + 1 for frame in history.values() if len(frame)), default=0)


def join_histories(before: History, after: History, first_epoch: int) -> dict[str, pd.DataFrame]:
    """Append one history to another.

    Parameters
    ----------
    before, after
        The two histories.
    first_epoch
        Number to add to the epochs of `after`.

    Returns
    -------
    joined : dict
        New history; neither of the two changes.
    """
    joined = dict(before)
    for name, frame in after.items():
        moved = frame.set_axis(pd.Index(frame.index + first_epoch, name="epoch"))
        joined[name] = pd.concat([before[name], moved]) if name in before else moved
    return joined


def _number(value: float) -> float | None:
    """Return a number; None for NaN and infinity, which JSON does not have."""
    return float(value) if np.isfinite(value) else None
