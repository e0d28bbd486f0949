"""MAGIC (van Dijk et al., Cell 2018) on square roots, with Open Problems' settings: decay 1, t 3, exact solver."""

import numpy as np
from anndata import AnnData
from lab.contract import Arrays, depth_of, run
from magic import MAGIC


def magic_impute(adata: AnnData, seed: int) -> Arrays:
    """Diffuse the square roots of each gene's share of the counts."""
    depth = depth_of(adata)
    root = np.sqrt(adata.X.toarray() / depth)
    found = MAGIC(solver="exact", decay=1, t=3, verbose=False, random_state=seed).fit_transform(root, genes="all_genes")
    return {"square roots": np.asarray(found) ** 2 * depth}


if __name__ == "__main__":
    run(magic_impute)
