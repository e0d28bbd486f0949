from __future__ import annotations

import pytest
from lab.data import find_files, numbers_of_metacells

from scproto._errors import InputError

SIZES = {"a": 1000, "b": 3000}


def test_files_are_found_in_folders_and_by_name(tmp_path):
    with pytest.raises(InputError, match=r"no \.h5ad file"):
        find_files([tmp_path])
    for name in ("b.h5ad", "a.h5ad", "c.txt"):
        (tmp_path / name).touch()
    files = [tmp_path / "a.h5ad", tmp_path / "b.h5ad"]
    assert find_files([tmp_path]) == files
    assert find_files(files[::-1]) == files[::-1]
    with pytest.raises(InputError, match=r"Several files are called a\.h5ad"):
        find_files([tmp_path, tmp_path / "a.h5ad"])


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([], {"a": 13, "b": 40}),
        (["60"], {"a": 60, "b": 60}),
        (["b=9"], {"a": 13, "b": 9}),
        (["b=9", "60"], {"a": 60, "b": 9}),
    ],
)
def test_numbers_of_metacells(given, expected):
    assert numbers_of_metacells(given, SIZES) == expected


@pytest.mark.parametrize("given", ["c=9", "1", "1001", "many", "a=", "b=3001"])
def test_invalid_numbers_are_refused(given):
    with pytest.raises(InputError, match=f"--n-prototypes {given}"):
        numbers_of_metacells([given], SIZES)
