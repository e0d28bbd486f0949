"""Where cells and prototypes lie after each epoch, for a movie of the training."""

from __future__ import annotations

from dataclasses import dataclass

import lightning.pytorch as lightning
import numpy as np
from numpy.typing import NDArray

from .._arguments import check_seed, check_whole
from ..data.memory import MemoryCells
from ..network import embed
from .plan import PrototypePlan


@dataclass(frozen=True)
class Snapshot:
    """Unit vectors after an epoch: ``cells`` ``(n_shown, n_latent)``, and ``prototypes``, empty in the warm-up."""

    epoch: int
    cells: NDArray[np.float32]
    prototypes: NDArray[np.float32]


class Snapshots(lightning.Callback):
    """Keep the embedding of some cells and the prototypes after each epoch.

    They do not change the training. The cells lie where the encoder puts them: the batches are aligned only at the end
    of the training, after the snapshots. A resumed training has snapshots of its own epochs only.

    Parameters
    ----------
    n_cells
        Number of cells to keep, drawn at random once. 2,000 cells fill a picture; 40 epochs of them take 5 MB.
    seed
        Seed of that draw.

    Attributes
    ----------
    cells
        Sorted indices of the cells that are kept, ``(n_shown,)``.
    n_cells_in_all
        Number of cells from which they were drawn.
    frames
        One snapshot per epoch.

    Examples
    --------
    >>> from scproto.train import Snapshots
    >>> snapshots = Snapshots()
    >>> model.train(callbacks=[snapshots])
    >>> scproto.pl.training_movie(snapshots, adata, "training.gif")
    """

    def __init__(self, n_cells: int = 2000, seed: int = 0) -> None:
        self.n_cells = check_whole("n_cells", n_cells)
        self.seed = check_seed(seed)
        self.cells: NDArray[np.int64] = np.empty(0, dtype=np.int64)
        self.n_cells_in_all = 0
        self.frames: list[Snapshot] = []

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Choose the cells, and drop the snapshots of an earlier training."""
        assert isinstance(pl_module, PrototypePlan)
        self.n_cells_in_all = n = pl_module.source.n_cells
        self.cells = np.sort(np.random.default_rng(self.seed).permutation(n)[: self.n_cells])
        self._shown = MemoryCells(pl_module.source.take(self.cells), pl_module.source.batch[self.cells])
        self.frames = []

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Take a snapshot."""
        assert isinstance(pl_module, PrototypePlan)
        prototypes = pl_module.module.unit_prototypes.detach().cpu().numpy()
        shown = prototypes[: 0 if pl_module.warming_up else None].copy()
        self.frames.append(Snapshot(pl_module.current_epoch, embed(pl_module.module, self._shown).numpy(), shown))
