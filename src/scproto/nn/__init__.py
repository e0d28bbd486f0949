"""Networks and numeric kernels on the hypersphere."""

from .alignment import Alignment, fit_alignment
from .decoder import Decoder
from .encoder import Encoder
from .prototypes import far_points, spherical_kmeans
from .sparse import SparseLinear

__all__ = ["Alignment", "Decoder", "Encoder", "SparseLinear", "far_points", "fit_alignment", "spherical_kmeans"]
