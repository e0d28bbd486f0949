"""scPoli (De Donno et al., Nature Methods 2023) without labels, 50 epochs, defaults otherwise, then k-means."""

import anndata
import numpy as np
import torch
from lab.contract import Arrays, clustered, run

anndata.read = anndata.read_h5ad  # scarches 0.6.1 imports this name, which anndata has removed

from scarches.models.scpoli import scPoli  # noqa: E402

EPOCHS = 50


def scpoli(adata: anndata.AnnData, n_metacells: int, seed: int) -> Arrays:
    """Train the conditional autoencoder; without labels there are no prototypes."""
    np.random.seed(seed)  # noqa: NPY002 - scarches splits the cells with it
    torch.manual_seed(seed)
    adata.X = adata.X.toarray()
    model = scPoli(adata, condition_keys="batch")
    model.train(n_epochs=EPOCHS, pretraining_epochs=EPOCHS)
    embedding = model.get_latent(adata, mean=True)
    return clustered(embedding, n_metacells, seed)


if __name__ == "__main__":
    run(scpoli)
