"""DRVI (Moinfar and Theis, bioRxiv 2024) with its defaults and 400 epochs, then k-means."""

import scvi
from anndata import AnnData
from drvi.model import DRVI
from lab.contract import Arrays, clustered, run

EPOCHS = 400


def drvi_latent(adata: AnnData, n_metacells: int, seed: int) -> Arrays:
    """Train on the counts, with the batch as covariate."""
    scvi.settings.seed = seed
    DRVI.setup_anndata(adata, categorical_covariate_keys=["batch"])
    model = DRVI(adata)
    model.train(max_epochs=EPOCHS, enable_progress_bar=False)
    embedding = model.get_latent_representation()
    return clustered(embedding, n_metacells, seed)


if __name__ == "__main__":
    run(drvi_latent)
