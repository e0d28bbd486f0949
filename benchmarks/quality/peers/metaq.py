"""MetaQ (Li et al., Nature Communications 2025) with its defaults."""

import os
import tempfile
from pathlib import Path

import anndata
import torch
from lab.contract import Arrays, metacells, run
from MetaQ_sc import run_metaq


def metaq(cells: Path, n_metacells: int, seed: int) -> Arrays:
    """Run MetaQ, which reads a file and writes into the current folder."""
    cells = cells.resolve()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        Path("figures").mkdir()  # MetaQ creates it only for labelled cells
        written = Path("save", f"cells_{n_metacells}metacell_ids.h5ad")
        try:
            run_metaq(
                data_path=[str(cells)],
                data_type=["RNA"],
                save_name="cells",
                metacell_num=n_metacells,
                random_seed=seed,
                device="cuda" if torch.cuda.is_available() else "cpu",
            )
        except RuntimeError as error:  # the evaluation at its end fails without a GPU; the result is complete
            if not written.exists():
                raise
            print(error)
        found = anndata.read_h5ad(written)
        os.chdir("/")  # so that the folder can be removed
    return metacells(found.obs["metacell"])


if __name__ == "__main__":
    run(metaq, read=Path)
