from __future__ import annotations

import json
from base64 import b64decode

import numpy as np
import pytest

from scproto.reporting.encode import category_codes, numbers, quantise, to_base64, to_script


@pytest.mark.parametrize(("dtype", "steps"), [(np.uint8, 255), (np.uint16, 65535)])
def test_values_come_back_within_half_a_step(dtype: type, steps: int) -> None:
    values = np.random.default_rng(0).uniform(-3, 7, size=(50, 4))
    low, high = values.min(axis=0), values.max(axis=0)
    text = to_base64(quantise(values, low, high, dtype))
    codes = np.frombuffer(b64decode(text), np.dtype(dtype).newbyteorder("<")).reshape(values.shape)
    back = low + codes / steps * (high - low)
    assert np.all(np.abs(back - values) <= 0.5001 * (high - low) / steps)
    assert codes.min() == 0
    assert codes.max() == steps


def test_a_scale_without_width_gives_zeros_and_values_outside_get_its_ends() -> None:
    np.testing.assert_array_equal(quantise([5.0, 5.0], 5, 5, np.uint8), [0, 0])
    np.testing.assert_array_equal(quantise([-1.0, 0.5, 9.0], 0, 1, np.uint8), [0, 128, 255])


def test_bytes_are_little_endian_and_row_by_row() -> None:
    array = np.array([[1, 2], [3, 4]], dtype=">u2")
    assert b64decode(to_base64(array.T)) == bytes([1, 0, 3, 0, 2, 0, 4, 0])


def test_a_missing_category_has_its_own_code() -> None:
    np.testing.assert_array_equal(category_codes(np.array([0, 29, -1])), [0, 29, 255])


def test_nan_and_infinity_become_none() -> None:
    assert numbers([1.23456, np.nan, np.inf, 2]) == [1.2346, None, None, 2.0]


def test_json_cannot_end_its_script() -> None:
    payload = {"</script><!--": "a & b é \u2028", "n": [1, None]}
    text = to_script(payload)
    assert not set("<>&") & set(text)
    assert text.isascii()
    assert json.loads(text) == payload
