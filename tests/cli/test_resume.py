"""``scproto fit --resume`` after a process was killed."""

from __future__ import annotations

import signal
import subprocess
import sys

import numpy as np
import pytest
from anndata import read_h5ad

SCRIPT = """
import os, signal, sys
from scproto.cli import main
from scproto.train import Checkpoint, plan

Checkpoint.__init__.__defaults__ = (0.0,)  # after each epoch, not once a minute
kill_in, objective = int(sys.argv.pop(1)), plan.PrototypePlan.objective

def killed(training, minibatch):
    if training.current_epoch == kill_in:
        os.kill(os.getpid(), signal.SIGKILL)
    return objective(training, minibatch)

plan.PrototypePlan.objective = killed
main()
"""


def fit(*arguments: object, kill_in: int = -1) -> subprocess.CompletedProcess[str]:
    """Run ``scproto fit`` in a process that an epoch kills, if it comes to it."""
    command = [sys.executable, "-c", SCRIPT, str(kill_in), "fit", *map(str, arguments)]
    options = ["--batch-key", "batch", "--n-prototypes", "8", "--max-steps", "24", "--no-report", "--threads", "1"]
    return subprocess.run([*command, *options], capture_output=True, text=True, check=False)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs a system with SIGKILL")
def test_a_killed_run_is_resumed_and_equals_one_that_was_not(tiny_atlas, tmp_path):
    cells = tmp_path / "cells.h5ad"
    tiny_atlas.write_h5ad(cells)
    killed = fit(cells, "--out", tmp_path / "run", kill_in=17)
    assert killed.returncode == -signal.SIGKILL
    assert not (tmp_path / "run").exists()
    assert (tmp_path / "run.checkpoint").is_file()

    other = fit(cells, "--out", tmp_path / "run", "--resume", "--seed", "3")
    assert other.returncode == 2
    assert "belongs to a training with seed=0, not 3: resume with the same settings" in " ".join(other.stderr.split())

    resumed = fit(cells, "--out", tmp_path / "run", "--resume", kill_in=16)  # an epoch that is done
    assert resumed.returncode == 0, resumed.stderr
    assert not (tmp_path / "run.checkpoint").exists()
    assert fit(cells, "--out", tmp_path / "peaceful", "--resume").returncode == 0  # nothing to resume
    for name in ("cells.h5ad", "metacells.h5ad"):
        first, second = (read_h5ad(tmp_path / run / name) for run in ("run", "peaceful"))
        np.testing.assert_array_equal(first.obsm["X_scproto"], second.obsm["X_scproto"])
        assert first.obs.equals(second.obs)
    weights = [(tmp_path / run / "model" / "weights.safetensors").read_bytes() for run in ("run", "peaceful")]
    assert weights[0] == weights[1]
