"""scVI (Lopez et al., Nature Methods 2018) with the defaults of scvi-tools and 200 epochs, then k-means."""

import scvi
from anndata import AnnData
from lab.contract import Arrays, clustered, run

EPOCHS = 200


def scvi_latent(adata: AnnData, n_metacells: int, seed: int) -> Arrays:
    """Train on the counts, with the batch as covariate."""
    scvi.settings.seed = seed
    scvi.model.SCVI.setup_anndata(adata, batch_key="batch")
    model = scvi.model.SCVI(adata)
    model.train(max_epochs=EPOCHS, enable_progress_bar=False)
    embedding = model.get_latent_representation()
    return clustered(embedding, n_metacells, seed)


if __name__ == "__main__":
    run(scvi_latent)
