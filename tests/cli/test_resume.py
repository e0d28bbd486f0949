"""``scproto fit --resume`` after a process was killed."""

from __future__ import annotations

import os
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
@pytest.mark.parametrize("kill_in", [7, 17], ids=["warm_up", "joint"])
def test_a_killed_run_is_resumed_and_equals_one_that_was_not(tiny_atlas, tmp_path, kill_in):
    cells = tmp_path / "cells.h5ad"
    tiny_atlas.write_h5ad(cells)
    killed = fit(cells, "--out", tmp_path / "run", kill_in=kill_in)
    assert killed.returncode == -signal.SIGKILL
    assert not (tmp_path / "run").exists()
    assert (tmp_path / "run.checkpoint").is_file()

    resumed = fit(cells, "--out", tmp_path / "run", "--resume", kill_in=kill_in - 1)  # an epoch that is done
    assert resumed.returncode == 0, resumed.stderr
    assert not (tmp_path / "run.checkpoint").exists()
    assert fit(cells, "--out", tmp_path / "peaceful", "--resume").returncode == 0  # nothing to resume
    for name in ("cells.h5ad", "metacells.h5ad"):
        first, second = (read_h5ad(tmp_path / run / name) for run in ("run", "peaceful"))
        np.testing.assert_array_equal(first.obsm["X_scproto"], second.obsm["X_scproto"])
        assert first.obs.equals(second.obs)
    weights = [(tmp_path / run / "model" / "weights.safetensors").read_bytes() for run in ("run", "peaceful")]
    assert weights[0] == weights[1]


def test_another_run_does_not_go_on_from_the_checkpoint(tiny_atlas, tmp_path):
    cells = tmp_path / "cells.h5ad"
    tiny_atlas.write_h5ad(cells)
    if os.name == "posix":
        fit(cells, "--out", tmp_path / "run", kill_in=5)
    refused = fit(cells, "--out", tmp_path / "run", "--resume", "--seed", "3")
    assert refused.returncode == 2
    assert "of a training with seed=0, not 3: resume with the same settings" in " ".join(refused.stderr.split())
    anew = fit(cells, "--out", tmp_path / "run")
    assert anew.returncode == 0
    assert "A stopped run left" in anew.stderr
