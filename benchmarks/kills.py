"""Kill trainings repeatedly, resume them each time, and compare them with an undisturbed training.

    python benchmarks/kills.py --kills 100

Each training runs in its own process. ``SIGKILL`` ends this process at a random point: in a step of the warm-up or of
the joint phase, in a look at the whole embedding between epochs, or while it writes a checkpoint. Weights, history and
embedding of the resumed training must equal the undisturbed ones to the last bit. The script needs a system with
``fork``.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # threads do not survive a fork

import numpy as np
import torch

from scproto import pp
from scproto.datasets import simulate_atlas
from scproto.model import SCPROTO
from scproto.train import Checkpoint, plan, state

N_EPOCHS, STEPS_PER_EPOCH, N_WARMUP = 40, 2, 20
POINTS = ("warm_up", "joint", "look", "save")
OUTCOME = ("model/weights.safetensors", "model/model.json", "embedding.npy")


def train(adata, folder: Path, killed_at: tuple[str, int, int] | None = None) -> None:
    """Train from the checkpoint in the folder, or from the start, and save the result; optionally die on the way."""
    if killed_at is not None:
        die_in(*killed_at)
    path = folder / "checkpoint"
    model = SCPROTO(adata, n_prototypes=6, n_hidden=16, n_latent=4)
    model.train(
        N_EPOCHS * STEPS_PER_EPOCH,
        accelerator="cpu",
        batch_size=32,
        enable_progress_bar=False,
        checkpoint=Checkpoint(path, every_s=0),
        resume_from=path if path.exists() else None,
    )
    model.save(folder / "model")
    np.save(folder / "embedding.npy", model.get_latent_representation())


def die_in(point: str, epoch: int, step: int) -> None:
    """Make this process kill itself at a point of its training, in the given epoch or the next that has this point."""
    calls = iter(range(sys.maxsize))

    def die_once(owner: object, name: str, due: Callable[..., bool], *, after: bool = False) -> None:
        function = getattr(owner, name)

        def replaced(*args, **kwargs):
            result = function(*args, **kwargs) if after else None
            if due(*args):
                os.kill(os.getpid(), signal.SIGKILL)
            return result if after else function(*args, **kwargs)

        setattr(owner, name, replaced)

    if point == "look":  # in the middle of the look, when the cells are embedded
        die_once(plan.Look, "first" if epoch <= N_WARMUP else "again", lambda *_: True)
    elif point == "save":  # the file is written, but does not have its final name yet
        die_once(state, "save_file", lambda *_: next(calls) >= step, after=True)
    else:
        die_once(
            plan.PrototypePlan, "objective", lambda training, _: training.current_epoch >= epoch and next(calls) >= step
        )


def in_a_process(work: Callable[..., object], *args: object) -> bool:
    """Call a function in a copy of this process; return whether the copy was killed."""
    child = os.fork()
    if child == 0:
        work(*args)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
        return True
    if status:
        sys.exit("A training failed; its error is printed above.")
    return False


def outcome(folder: Path) -> tuple[bytes, ...]:
    """Return the bytes of all files that a training saves."""
    return tuple((folder / name).read_bytes() for name in OUTCOME)


def main() -> None:
    """Kill, resume and compare trainings."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    adata = simulate_atlas(120, 50, 2, 3, depth=300, seed=2)
    pp.prepare(adata, "batch")
    SCPROTO.setup_anndata(adata)
    rng = np.random.default_rng(arguments.seed)
    killed = dict.fromkeys(POINTS, 0)
    with tempfile.TemporaryDirectory() as temporary:
        folders = [Path(temporary) / str(i) for i in range(arguments.kills + 1)]
        undisturbed, n_trainings, n_equal = folders[0], 0, 0
        undisturbed.mkdir()
        in_a_process(train, adata, undisturbed)
        while (n_killed := sum(killed.values())) < arguments.kills:
            n_trainings += 1
            folder = folders[n_trainings]
            folder.mkdir()
            for point in rng.permutation(POINTS)[: arguments.kills - n_killed]:
                epoch = int(rng.integers(0, N_WARMUP) if point == "warm_up" else rng.integers(N_WARMUP, N_EPOCHS - 2))
                step = int(rng.integers(0, STEPS_PER_EPOCH))
                if not in_a_process(train, adata, folder, (point, epoch, step)):
                    break  # the training had passed that point and ran to its end
                killed[point] += 1
            if not (folder / OUTCOME[-1]).exists():
                in_a_process(train, adata, folder)
            n_equal += outcome(folder) == outcome(undisturbed)
    words = ", ".join(f"{n} in {point}" for point, n in killed.items())
    print(f"{sum(killed.values())} kills of {n_trainings} trainings ({words}): {n_equal} are equal to the last bit")
    if n_equal < n_trainings:
        sys.exit(1)


if __name__ == "__main__":
    main()
