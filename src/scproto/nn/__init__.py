"""Networks and numerical kernels on the hypersphere."""

from .alignment import Alignment, align_query, fit_alignment
from .attribution import integrated_gradients
from .decoder import Decoder
from .density import density_weights
from .encoder import Encoder
from .prototypes import nearest_prototype, spherical_kmeans
from .shares import prototype_shares
from .sparse import SparseLinear

__all__ = [
    "Alignment",
    "Decoder",
    "Encoder",
    "SparseLinear",
    "align_query",
    "density_weights",
    "fit_alignment",
    "integrated_gradients",
    "nearest_prototype",
    "prototype_shares",
    "spherical_kmeans",
]
