"""Save a tiny model in the format of this version, with cells to map and what came out.

    python tests/model/stored/make.py

Run it once for each release, in an empty folder ``tests/model/stored/VERSION``. The folders of earlier releases stay as
they are: later versions must open them.
"""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import numpy as np

from scproto import pp, tl
from scproto.datasets import simulate_atlas
from scproto.model import SCPROTO


def main() -> None:
    """Train, save and map."""
    folder = Path(__file__).parent / version("scproto")
    atlas = simulate_atlas(150, 40, 3, 3, rare_fraction=0.2, depth=300, seed=4)
    new = (atlas.obs["batch"] == "batch_2").to_numpy()
    reference, query = atlas[~new].copy(), atlas[new][:20].copy()
    pp.prepare(reference, "batch", n_top_genes=30)
    SCPROTO.setup_anndata(reference)
    model = SCPROTO(reference, n_prototypes=5, n_hidden=8, n_latent=4)
    model.train(60, accelerator="cpu", enable_progress_bar=False, batch_size=32)
    tl.learn_labels(reference, model, "cell_type")
    model.save(folder / "model", overwrite=True)
    mapped = tl.map_query(query, model)
    tl.transfer_labels(query, model, "cell_type", query=mapped)
    np.savez_compressed(
        folder / "query.npz",
        counts=query.X.toarray().astype(np.uint16),
        genes=query.var_names.to_numpy(str),
        embedding=query.obsm["X_scproto"],
        sphere=query.obsm["X_scproto_sphere"],
        probabilities=query.obsm["scproto_cell_type_probabilities"].to_numpy(),
        decoded=model.get_metacells(reference).X,
    )


if __name__ == "__main__":
    main()
