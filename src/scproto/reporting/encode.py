"""Arrays as short text for a page: whole numbers of few bytes, in base64, and JSON that a script element may hold."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

NO_CODE = 255
"""Code of an item without a category."""


def quantise(values: ArrayLike, low: ArrayLike, high: ArrayLike, dtype: DTypeLike) -> NDArray[np.unsignedinteger]:
    """Whole numbers in proportion to the values: 0 for ``low``, the largest of the type for ``high``.

    Parameters
    ----------
    values
        Finite numbers of any shape.
    low, high
        Ends of the scale, broadcast against the values. Values outside get the nearest end, and all get 0 where
        the ends are equal.
    dtype
        Unsigned type, such as ``np.uint8``: a value is off by at most half a step of the scale.

    Returns
    -------
    Codes of the shape of the values.
    """
    values, low, high = (np.asarray(part, dtype=np.float64) for part in (values, low, high))
    width = high - low
    place = np.divide(values - low, width, out=np.zeros(np.broadcast(values, width).shape), where=width > 0)
    return np.rint(np.clip(place, 0, 1) * np.iinfo(np.dtype(dtype)).max).astype(dtype)


def category_codes(codes: NDArray[np.integer]) -> NDArray[np.uint8]:
    """Codes below 255 in one byte, :data:`NO_CODE` for -1."""
    return np.where(codes < 0, NO_CODE, codes).astype(np.uint8)


def to_base64(array: NDArray[Any]) -> str:
    """Bytes of the array, row by row, little-endian as scripts read them."""
    little = array.astype(array.dtype.newbyteorder("<"), order="C", copy=False)
    return b64encode(little.tobytes()).decode("ascii")


def numbers(values: ArrayLike, digits: int = 4) -> list[float | None]:
    """Floats rounded to so many decimals, None for what JSON has no number for."""
    rounded = np.round(np.asarray(values, dtype=np.float64), digits)
    return [value if np.isfinite(value) else None for value in rounded.tolist()]


def to_script(payload: Any) -> str:
    """JSON that no name in it can end: ``<``, ``>`` and ``&`` are written as escapes, and so is all but ASCII."""
    text = json.dumps(payload, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
