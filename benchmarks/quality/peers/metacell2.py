"""MetaCell-2 (Ben-Kiki et al., Genome Biology 2022) with its defaults, except for the metacell size.

The number of metacells follows from their size. The target sizes in cells and in UMIs are chosen to give about the
requested number of metacells. Cells that MetaCell-2 calls outliers have no metacell.
"""

import metacells as mc
from anndata import AnnData
from lab.contract import Arrays, metacells, run
from metacells.parameters import min_metacell_size


def metacell2(adata: AnnData, n_metacells: int, seed: int) -> Arrays:
    """Run the divide-and-conquer pipeline."""
    mc.ut.set_name(adata, "cells")
    mc.pl.mark_lateral_genes(adata, lateral_gene_names=[])
    mc.pl.mark_noisy_genes(adata, noisy_gene_names=[])
    size = max(1, round(adata.n_obs / n_metacells))
    mc.pl.divide_and_conquer_pipeline(
        adata,
        target_metacell_size=size,
        target_metacell_umis=max(1, round(float(adata.X.sum()) / n_metacells)),
        min_metacell_size=min(min_metacell_size, size),
        random_seed=seed + 1,  # 0 would draw a seed
    )
    return metacells(adata.obs["metacell"])


if __name__ == "__main__":
    run(metacell2)
