from __future__ import annotations

from pathlib import Path

import pytest
from lab.environments import Environments, InstallationError

FAKE = """#!/bin/sh
# replaces "python -m venv FOLDER": creates a python that only records its arguments
mkdir -p "$3/bin"
printf '#!/bin/sh\\necho "$@" >> {calls}\\nexit {code}\\n' > "$3/bin/python"
chmod +x "$3/bin/python"
"""


def fake_python(path: Path, calls: Path, code: int) -> str:
    path.write_text(FAKE.format(calls=calls, code=code))
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def pins(tmp_path) -> Path:
    path = tmp_path / "peer.txt"
    path.write_text("numpy==2.0.0\n")
    return path


def test_an_environment_is_installed_once_for_the_same_pins(tmp_path, pins):
    calls = tmp_path / "calls"
    environments = Environments(tmp_path / "environments", fake_python(tmp_path / "fake", calls, 0))
    first = environments.interpreter(pins)
    assert environments.interpreter(pins) == first
    assert calls.read_text().splitlines() == [f"-m pip install --disable-pip-version-check --requirement {pins}"]
    pins.write_text("numpy==2.0.1\n")
    assert environments.interpreter(pins) != first


def test_a_failed_installation_is_repeated(tmp_path, pins):
    calls = tmp_path / "calls"
    environments = Environments(tmp_path / "environments", fake_python(tmp_path / "fake", calls, 1))
    for times in (1, 2):
        with pytest.raises(InstallationError, match=r"could not be installed, see peer-.*\.log"):
            environments.interpreter(pins)
        assert len(calls.read_text().splitlines()) == times
