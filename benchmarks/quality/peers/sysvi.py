"""sysVI (Hrovatin et al., BMC Genomics 2025) with the defaults of scvi-tools and 200 epochs, then k-means."""

import scanpy as sc
import scvi
from anndata import AnnData
from lab.contract import Arrays, clustered, run
from scvi.external import SysVI

EPOCHS = 200


def sysvi_latent(adata: AnnData, n_metacells: int, seed: int) -> Arrays:
    """Train on log1p CP10k, with the batch as system."""
    scvi.settings.seed = seed
    sc.pp.normalize_total(adata, target_sum=1e4)
    sc.pp.log1p(adata)
    SysVI.setup_anndata(adata, batch_key="batch")
    model = SysVI(adata)
    model.train(max_epochs=EPOCHS, enable_progress_bar=False)
    embedding = model.get_latent_representation(adata)
    return clustered(embedding, n_metacells, seed)


if __name__ == "__main__":
    run(sysvi_latent)
