"""SuperCell (Bilous et al., BMC Bioinformatics 2022), as omicverse implements it in Python, with its defaults."""

from anndata import AnnData
from lab.contract import Arrays, metacells, run
from omicverse.external.supercell import SuperCell


def supercell(adata: AnnData, n_metacells: int, seed: int) -> Arrays:
    """Cut the communities of a neighbour graph on the PCA."""
    return metacells(SuperCell(adata.obsm["X_pca"], n_metacells, seed=seed).fit().membership)


if __name__ == "__main__":
    run(supercell)
