from __future__ import annotations

import pytest

from scproto._threads import default_threads, limit_threads


@pytest.mark.parametrize(("cores", "of_torch", "expected"), [(1, 1, 1), (2, 2, 1), (2, 1, 1), (8, 8, 7), (8, 3, 3)])
def test_a_run_leaves_one_core_free(monkeypatch, cores, of_torch, expected):
    monkeypatch.setattr("scproto._threads.n_cores", lambda: cores)
    monkeypatch.setattr("torch.get_num_threads", lambda: of_torch)
    assert default_threads() == expected


def test_threads_are_limited_and_restored():
    import numba
    import torch

    before = torch.get_num_threads(), numba.get_num_threads()
    torch.set_num_threads(2)
    with limit_threads(1):
        assert (torch.get_num_threads(), numba.get_num_threads()) == (1, 1)
    assert torch.get_num_threads() == 2
    with limit_threads(None):
        assert torch.get_num_threads() == 2
    torch.set_num_threads(before[0])
    assert (torch.get_num_threads(), numba.get_num_threads()) == before
