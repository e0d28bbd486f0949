"""scproto with its defaults on all genes of the input: the level that cross-validation chooses, and all levels."""

from itertools import product

import numpy as np
from anndata import AnnData
from lab.contract import Arrays, depth_of, run

import scproto


def scproto_levels(adata: AnnData, seed: int) -> Arrays:
    """Fit once, then denoise with every combination of options."""
    scproto.pp.prepare(adata, n_top_genes=adata.n_vars, seed=seed)
    scproto.SCPROTO.setup_anndata(adata)
    model = scproto.SCPROTO(adata, seed=seed)
    model.train(accelerator="cpu", enable_progress_bar=False)
    chosen = scproto.tl.choose_denoising(adata, model, seed=seed, accelerator="cpu")
    print(chosen)
    tables = {f"chosen, {scale}": denoise(adata, model, "auto", None, scale) for scale in ("mean", "log1p")}
    for level, posterior, scale in product(("cell", "prototype", "mixture"), (False, True), ("mean", "log1p")):
        name = f"{level} posterior" if posterior else level
        tables[f"{name}, {scale}"] = denoise(adata, model, level, posterior, scale)
    return tables


def denoise(adata: AnnData, model: scproto.SCPROTO, level: str, posterior: bool | None, scale: str) -> np.ndarray:
    """Return denoised counts at the depth of the input; genes that do not vary get 0."""
    log1p = scale == "log1p"
    found = model.get_normalized_expression(adata, level=level, posterior=posterior, log1p=log1p, own_batch=True)
    values = found.reindex(columns=adata.var_names, fill_value=0.0).to_numpy()
    return (np.expm1(values) if log1p else values) * (depth_of(adata) / 1e4)


if __name__ == "__main__":
    run(scproto_levels)
