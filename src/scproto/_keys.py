"""Names of everything that scproto writes into an AnnData object."""

from __future__ import annotations

LATENT = "X_scproto"
"""``obsm``: integrated embedding, unit norm; for metacells the prototype itself."""

UMAP = "X_scproto_umap"
"""``obsm``: UMAP of cells and prototypes together."""

SHOWN_UMAP = "X_umap"
"""``obsm``: the same under the name that scanpy and viewers look for; written by ``scproto fit``."""

PCA = "X_scproto_pca"
"""``obsm``: PCA of log1p CP10k, before integration."""

NEIGHBORS = "scproto_neighbors"
"""``obsp``: mutual nearest neighbours within the batch (cosine similarity in the PCA)."""

UNS = "scproto"
"""``uns``: version, settings and seed."""

TREE = "scproto_tree"
"""``uns`` of the metacells: Ward linkage of the prototypes, as scipy gives it."""

BATCH = "scproto_batch"
"""``obs``: batch of the cell (the product of the batch keys)."""

GENES = "scproto_gene"
"""``var``: whether the encoder and the decoder use the gene."""

METACELL = "metacell"
"""``obs``: name of the cell's metacell."""

CONFIDENCE = "metacell_confidence"
"""``obs``: probability of that metacell, in [0, 1]."""

DISTANCE = "metacell_distance"
"""``obs``: cosine distance from the cell to the nearest prototype."""

OUTLIER = "metacell_outlier"
"""``obs``: whether the cell lies unusually far from every prototype."""

PROBABILITY = "metacell_probability"
"""``obsm``: the cell's most probable metacells, sparse ``(n_cells, n_metacells)``."""

OMICVERSE_METACELL = "metacell_id"
"""``obs``: omicverse's name for :data:`METACELL`."""

OMICVERSE_CONFIDENCE = "metacell_conf"
"""``obs``: omicverse's name for :data:`CONFIDENCE`."""


def part_of_key(name: object) -> str:
    """Name of a batch as part of a key: in a file, a slash would make a folder of what is before it."""
    return str(name).replace("/", "|")
