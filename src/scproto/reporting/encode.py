"""Arrays as short text for a page: small whole numbers in base64, and JSON that is safe in a script element."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

NO_CODE = 255
"""Code of an item without a category."""


def quantise(values: ArrayLike, low: ArrayLike, high: ArrayLike, dtype: DTypeLike) -> NDArray[np.unsignedinteger]:
    """Scale values to whole numbers, from 0 for ``low`` to the largest number of the type for ``high``.

    Parameters
    ----------
    values
        Finite numbers of any shape.
    low, high
        Ends of the scale, broadcast against the values. Values outside the scale become the nearest end. If both ends
        are equal, all values become 0.
    dtype
        Unsigned type, such as ``np.uint8``. The rounding error is at most half a step of the scale.

    Returns
    -------
    codes : numpy.ndarray
        Codes in the shape of the values.
    """
    values, low, high = (np.asarray(part, dtype=np.float64) for part in (values, low, high))
    width = high - low
    place = np.divide(values - low, width, out=np.zeros(np.broadcast(values, width).shape), where=width > 0)
    return np.rint(np.clip(place, 0, 1) * np.iinfo(np.dtype(dtype)).max).astype(dtype)


def category_codes(codes: NDArray[np.integer]) -> NDArray[np.uint8]:
    """Codes below 255 as single bytes, with :data:`NO_CODE` for -1."""
    return np.where(codes < 0, NO_CODE, codes).astype(np.uint8)


def to_base64(array: NDArray[Any]) -> str:
    """Bytes of the array, row by row and little-endian, as scripts read them."""
    little = array.astype(array.dtype.newbyteorder("<"), order="C", copy=False)
    return b64encode(little.tobytes()).decode("ascii")


def numbers(values: ArrayLike, digits: int = 4) -> list[float | None]:
    """Floats rounded to `digits` decimals; None for values that JSON cannot hold."""
    rounded = np.round(np.asarray(values, dtype=np.float64), digits)
    return [value if np.isfinite(value) else None for value in rounded.tolist()]


def to_script(payload: Any) -> str:
    """JSON that cannot end its script element: ``<``, ``>``, ``&`` and characters beyond ASCII are escaped."""
    text = json.dumps(payload, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
