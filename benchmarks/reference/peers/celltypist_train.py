"""CellTypist (Domínguez Conde et al., Science 2022), trained on the reference as in its tutorial.

Batches are ignored, and so are genes of the model that the query lacks.
"""

import celltypist
import numpy as np
from anndata import AnnData
from lab.contract import THREADS, Arrays
from lab.mapping import by_probability, log1p_cp10k, run


def fit(reference: AnnData, seed: int) -> celltypist.models.Model:
    """Choose features, and train the regression."""
    np.random.seed(seed)  # noqa: NPY002 - scikit-learn draws from it
    return celltypist.train(log1p_cp10k(reference), "cell_type", n_jobs=THREADS, feature_selection=True)


def transfer(model: celltypist.models.Model, query: AnnData) -> Arrays:
    """Annotate each cell on its own. The probabilities of the labels are independent: their sum is not 1."""
    found = celltypist.annotate(log1p_cp10k(query), model).probability_matrix
    return by_probability(found.columns, found.to_numpy())


if __name__ == "__main__":
    run(fit, transfer)
