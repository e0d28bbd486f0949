"""Seconds of an epoch of the code that was published with the paper (github.com/theislab/scproto), on the CPU.

    python epochs.py CHECKOUT INPUT.h5ad --epochs 2 --out epochs.json

in an environment of ``quality/peers/scpoli.txt`` and ``faiss-cpu``. CHECKOUT is a clone of that repository. INPUT holds
log1p CP10k of the chosen genes in ``X``, dense (its loader turns every sparse row into a dense one at each view, which
takes longer), and ``obs["batch"]``.

Its loader, network, losses and loop over an epoch run as they are, with its own settings: minibatches of 1,024, eight
views by the neighbours. What is not of the training is left out: logs, UMAPs, scores. ``.cuda()`` does nothing, its
loader has no processes of its own, and plain SGD stands for LARS, which only builds with CUDA.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any
from unittest.mock import MagicMock

import anndata
import torch

for name in ("wandb", "scGraph", "scib_metrics", "scib_metrics.benchmark", "barlow_twins_pytorch"):
    sys.modules[name] = MagicMock()  # imported at its top, not used in a step
sys.modules["torchlars"] = MagicMock(LARS=lambda optimizer: optimizer)
anndata.read = anndata.read_h5ad  # scarches imports the name, which anndata gave up
torch.Tensor.cuda = torch.nn.Module.cuda = lambda self, *_, **__: self


def trainer(checkout: Path, adata: anndata.AnnData, n_prototypes: int, folder: str) -> Any:
    """Return its trainer with everything built, ready for an epoch."""
    sys.path.insert(0, str(checkout))
    import constants

    constants.HOME = folder  # a path of a notebook
    from interpretable_ssl.datasets.dataset import SingleCellDataset
    from interpretable_ssl.trainers import swav

    swav.initialize_exp = lambda *_, **__: (MagicMock(), None)  # log files
    adata.obs["study"] = adata.obs["batch"].astype(str).astype("category")  # the name is fixed there
    adata.obs["cell_type"] = adata.obs["study"]  # it asks for labels, which the training does not read
    data = SingleCellDataset("cells", adata, f"{folder}/labels.pkl")
    built = swav.SwAV(debug=True, dataset=data, ref_query=(data, data), num_prototypes=n_prototypes, workers=0)
    built.setup()
    return built


def main() -> None:
    """Time a few epochs after a first one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=Path)
    parser.add_argument("input", type=Path)
    parser.add_argument("--n-prototypes", type=int, required=True)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    out, checkout, adata = given.out.resolve(), given.checkout.resolve(), anndata.read_h5ad(given.input)
    with TemporaryDirectory() as folder:
        os.chdir(folder)  # it writes its graph into the folder that it is called in
        model = trainer(checkout, adata, given.n_prototypes, folder)
        seconds = [epoch(model, i) for i in range(given.epochs + 1)][1:]
    cells = len(model.train_loader) * model.batch_size
    out.write_text(json.dumps({"seconds": seconds, "cells_per_epoch": cells}) + "\n")


def epoch(model: Any, number: int) -> float:
    """Train for an epoch and return its seconds."""
    start = perf_counter()
    _, model.queue = model.train_one_epoch(number)
    return perf_counter() - start


if __name__ == "__main__":
    main()
