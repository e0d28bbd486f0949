"""SEACells (Persad et al., Nature Biotechnology 2023) on the PCA, with the settings of its tutorial."""

import numpy as np
from anndata import AnnData
from lab.contract import Arrays, metacells, run
from SEACells.core import SEACells


def seacells(adata: AnnData, n_metacells: int, seed: int) -> Arrays:
    """Find archetypes of the cells; each cell joins the archetype with its largest weight."""
    np.random.seed(seed)  # noqa: NPY002 - the state that SEACells draws from
    model = SEACells(
        adata, build_kernel_on="X_pca", n_SEACells=n_metacells, n_waypoint_eigs=10, convergence_epsilon=1e-5
    )
    model.construct_kernel_matrix()
    model.initialize_archetypes()
    try:
        model.fit(min_iter=10, max_iter=50)
    except RuntimeWarning as warning:  # SEACells raises this after the last iteration; the result is complete
        print(warning)
    return metacells(np.unique(model.get_hard_assignments()["SEACell"], return_inverse=True)[1])


if __name__ == "__main__":
    run(seacells)
