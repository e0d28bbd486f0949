"""The command ``scproto demo``."""

from __future__ import annotations

import pytest


@pytest.mark.usefixtures("no_heavy_work")
def test_demo_does_not_touch_an_existing_folder(cli, tmp_path):
    (tmp_path / "demo").mkdir()
    result = cli("demo", "--out", tmp_path / "demo")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "exists already" in result.stderr.splitlines()[-1]
    assert not list((tmp_path / "demo").iterdir())
