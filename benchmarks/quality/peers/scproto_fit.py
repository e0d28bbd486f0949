"""``scproto fit`` on the original file, with its defaults except for the number of prototypes and the seed."""

import subprocess
import sys
import tempfile
from pathlib import Path

import anndata
import pandas as pd
from lab.contract import Arrays, metacells, run


def scproto_fit(cells: Path, n_metacells: int, seed: int) -> Arrays:
    """Run the command and read its output."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "run")
        command = [sys.executable, "-m", "scproto", "fit", cells, "--out", out, "--batch-key", "batch"]
        subprocess.run([*command, "--n-prototypes", str(n_metacells), "--seed", str(seed)], check=True)
        fitted = anndata.read_h5ad(out / "cells.h5ad")
    return metacells(pd.factorize(fitted.obs["metacell"].astype(str))[0], fitted.obsm["X_scproto"])


if __name__ == "__main__":
    run(scproto_fit, read=Path)
