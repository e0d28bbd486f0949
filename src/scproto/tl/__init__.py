"""Tools for working with a trained model."""

from .assign import assign_metacells
from .attribution import attribute_prototype_genes
from .axes import rank_axis_genes
from .check import Check, check
from .compare import compare
from .denoising import Denoising, choose_denoising
from .enrichment import enrich_prototype_genes
from .genes import rank_prototype_genes, rank_split_genes
from .labels import explain_labels, learn_labels, transfer_labels
from .map_query import map_query
from .pseudobulk import compare_expression, pseudobulk
from .resolution import Resolution, choose_resolution
from .stability import stability
from .umap import umap

__all__ = [
    "Check",
    "Denoising",
    "Resolution",
    "assign_metacells",
    "attribute_prototype_genes",
    "check",
    "choose_denoising",
    "choose_resolution",
    "compare",
    "compare_expression",
    "enrich_prototype_genes",
    "explain_labels",
    "learn_labels",
    "map_query",
    "pseudobulk",
    "rank_axis_genes",
    "rank_prototype_genes",
    "rank_split_genes",
    "stability",
    "transfer_labels",
    "umap",
]
