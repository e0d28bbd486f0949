"""scVI (Lopez et al., Nature Methods 2018) with the defaults of scvi-tools, including the number of epochs."""

import scvi
from anndata import AnnData
from lab.contract import Arrays, depth_of, run


def scvi_defaults(adata: AnnData, seed: int) -> Arrays:
    """Train on the counts and decode each cell."""
    scvi.settings.seed = seed
    scvi.model.SCVI.setup_anndata(adata)
    model = scvi.model.SCVI(adata)
    model.train(accelerator="cpu", enable_progress_bar=False)
    return {"mean": model.get_normalized_expression(library_size=1, return_numpy=True) * depth_of(adata)}


if __name__ == "__main__":
    run(scvi_defaults)
