"""The least time that a joint training step could take here: its products and what it must move in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import median
from time import perf_counter

GATHER, FIRST, REST, DECODER = "gather and tensors", "encoder, first layer", "encoder, rest", "decoder"
LIKELIHOOD, PROTOTYPES, RECORD = "likelihood", "prototypes, Sinkhorn, losses", "record"
BACKWARD, OPTIMISER = "backward", "optimiser"

PIECES = (GATHER, FIRST, REST, DECODER, LIKELIHOOD, PROTOTYPES, RECORD, BACKWARD, OPTIMISER)
"""Of a step, in their order."""

FLOAT = 4
"""Bytes of a float32."""


@dataclass(frozen=True)
class Shapes:
    """Sizes that a step depends on; means over the minibatches that were measured."""

    rows: int
    """Rows of the encoder: cells of all views."""
    anchors: int
    """Cells that are decoded."""
    genes: int
    decoded: int
    """Genes that are decoded."""
    hidden: int
    latent: int
    batch_latent: int
    """Width of the batch embeddings."""
    prototypes: int
    parameters: int
    """Numbers that the optimiser moves."""
    stored: int
    """Non-zero entries of the rows."""
    counts: int
    """Non-zero counts of the anchors in the decoded genes."""
    dense: bool
    """Whether the input is dense."""
    fast: str
    """Precision of the products that may be rounded: ``bfloat16`` or ``float32``."""


@dataclass(frozen=True)
class Product:
    """A matrix product ``(m, k) @ (k, n)`` of a piece of the step."""

    piece: str
    m: int
    k: int
    n: int
    precision: str

    @property
    def flops(self) -> int:
        """Multiplications and additions."""
        return 2 * self.m * self.k * self.n


@dataclass(frozen=True)
class Move:
    """Bytes that a piece reads or writes beside its products."""

    piece: str
    n_bytes: int


def products(s: Shapes) -> list[Product]:
    """All products of a joint step, forward and backward.

    A sparse input counts as a dense product of its non-zero entries alone: what the hardware could do if the layout
    were no hindrance.
    """
    if s.dense:
        first = [
            Product(FIRST, s.rows, s.genes, s.hidden, s.fast),
            Product(BACKWARD, s.genes, s.rows, s.hidden, s.fast),
        ]
    else:
        by_row, by_gene = max(1, round(s.stored / s.rows)), max(1, round(s.stored / s.genes))
        first = [
            Product(FIRST, s.rows, by_row, s.hidden, s.fast),
            Product(BACKWARD, s.genes, by_gene, s.hidden, s.fast),
        ]
    return [
        *first,
        *_layer(REST, s.rows, s.hidden, s.hidden, s.fast),
        *_layer(REST, s.rows, s.hidden, s.latent, "float32"),
        *_layer(DECODER, s.anchors, s.latent + s.batch_latent, s.hidden, s.fast),
        *_layer(DECODER, s.anchors, s.hidden, s.decoded, s.fast),
        *_layer(PROTOTYPES, s.rows, s.latent, s.prototypes, "float32"),
    ]


def _layer(piece: str, rows: int, n_in: int, n_out: int, precision: str) -> list[Product]:
    """Product of a layer, and those of the gradients of its input and of its weight."""
    return [
        Product(piece, rows, n_in, n_out, precision),
        Product(BACKWARD, rows, n_out, n_in, precision),
        Product(BACKWARD, n_in, rows, n_out, precision),
    ]


def moves(s: Shapes) -> list[Move]:
    """What each piece must read and write at least once, as if all that follows a product were one loop over it."""
    wide, scores = s.rows * s.hidden, s.rows * s.prototypes
    narrow, output, weight = s.anchors * s.hidden, s.anchors * s.decoded, s.decoded * s.hidden
    values = s.rows * s.genes if s.dense else 4 * s.stored  # values and indices, of the rows and of their transpose
    return [
        Move(GATHER, 2 * FLOAT * (values + 3 * s.counts)),  # read, write
        Move(REST, 2 * 2 * FLOAT * wide),  # two normalisations with ReLU: read, write
        Move(DECODER, 2 * FLOAT * (narrow + weight)),  # a normalisation with ReLU; weights of the decoded genes
        Move(LIKELIHOOD, FLOAT * (output + 3 * s.counts)),  # read
        Move(PROTOTYPES, 2 * FLOAT * scores),  # read, write the assignment
        Move(BACKWARD, 3 * FLOAT * (2 * wide + narrow)),  # read the gradient and what was kept, write
        Move(BACKWARD, 2 * FLOAT * (output + scores)),  # read what was kept, write the gradient
        Move(
            BACKWARD, FLOAT * (2 * weight + s.genes * s.hidden)
        ),  # gradient of the decoded genes' weights, among zeros
        Move(OPTIMISER, 7 * FLOAT * s.parameters),  # read weight, gradient and two moments; write all but the gradient
    ]


def floor(
    products: Iterable[Product],
    moves: Iterable[Move],
    product_seconds: Callable[[Product], float],
    move_seconds: Callable[[int], float],
) -> dict[str, float]:
    """Seconds of each piece: products and moves one after the other, each as fast as it goes alone."""
    found = dict.fromkeys(PIECES, 0.0)
    for product in products:
        found[product.piece] += product_seconds(product)
    for move in moves:
        found[move.piece] += move_seconds(move.n_bytes)
    return found


class Rates:
    """What this machine can do now, measured once for each size."""

    def __init__(self, at_least: float = 0.02) -> None:
        self.at_least = at_least
        self._products: dict[tuple[int, int, int, str], float] = {}
        self._moves: dict[int, float] = {}

    def product_seconds(self, product: Product) -> float:
        """Time of the bare product: its FLOPs by the rate at its shape and precision."""
        import torch

        key = product.m, product.k, product.n, product.precision
        if key not in self._products:
            precision = getattr(torch, product.precision)
            a, b = torch.randn(product.m, product.k).to(precision), torch.randn(product.k, product.n).to(precision)
            self._products[key] = seconds_of(lambda: a @ b, self.at_least)
        return self._products[key]

    def move_seconds(self, n_bytes: int) -> float:
        """Time to copy so much that so many bytes are read or written: bytes by the rate at that size."""
        import torch

        if n_bytes not in self._moves:
            source = torch.ones(max(1, n_bytes // (2 * FLOAT)))
            target = torch.empty_like(source)
            self._moves[n_bytes] = seconds_of(lambda: target.copy_(source), self.at_least)
        return self._moves[n_bytes]


def seconds_of(function: Callable[[], object], at_least: float) -> float:
    """Median time of a call, from calls in blocks long enough for the clock."""
    function()
    n_calls, taken = 1, 0.0
    while taken < at_least / 20:
        n_calls *= 2
        taken = _block(function, n_calls)
    blocks = [_block(function, n_calls) for _ in range(max(5, int(at_least / taken)))]
    return median(blocks) / n_calls


def _block(function: Callable[[], object], n_calls: int) -> float:
    start = perf_counter()
    for _ in range(n_calls):
        function()
    return perf_counter() - start
