"""A shop's rows for the benchmark of drift detection: one table, and every shift that it must find.

Columns that a shop has, with what makes tests go wrong: a skewed price, whole numbers with ties, missing
values, thousands of rare products, Zipf-distributed words, clustered embeddings.
"""

from dataclasses import dataclass

import numpy as np

from fedmodels.data.recurring import places_without, repeated_texts
from validation.drift.columns import Scored, Values
from validation.drift.findings import Kind

KINDS: dict[str, Kind] = {
    "delivery_days": "number",
    "price": "number",
    "items": "number",
    "brand": "category",
    "product": "category",
    "label": "label",
    "text": "text",
    "embedding": "embedding",
    "loss": "loss",
    "calibration": "calibration",
}
_BRANDS = np.array([f"brand-{number}" for number in range(8)] + ["brand-new"], dtype=object)
_LABELS = np.array(["negative", "positive"], dtype=object)
_PRODUCTS, _VOCABULARY, _WIDTH, _CLUSTERS = 3000, 20_000, 64, 6
_STOCK_PHRASES, _STOCK_WORDS = 400, 60
_WORDS = np.array([f"word{number}" for number in range(2 * _VOCABULARY)], dtype=object)
_CENTRES = np.random.default_rng(0).standard_normal((_CLUSTERS, _WIDTH)) * 0.5


@dataclass(frozen=True)
class World:
    """Where rows come from. The defaults are the reference's world."""

    delivery_mean: float = 5.0
    delivery_spread: float = 2.0
    price_factor: float = 1.0
    missing: float = 0.02
    """Share of delivery times that are missing."""
    brand_slope: float = 1.0
    """Brand k of 8 is as frequent as (9 - k) to this power."""
    new_brand: float = 0.0
    new_products: float = 0.0
    positive: float = 0.6
    words: float = 16.0
    unknown_words: float = 0.0
    new_cluster: float = 0.0
    """Share of embeddings from a cluster that the reference does not have."""
    loss_factor: float = 1.0
    overconfidence: float = 1.0
    """Power of the odds: 1 is calibrated, above it the model claims more than it keeps."""
    stock: float = 0.0
    """Share of rows whose text is one of 400 short phrases, all of them positive, easy and close together."""


CHATTY = World(stock=0.3)
"""Where most of what the model has met comes again."""


SHIFTS: dict[str, tuple[str, World]] = {
    "mean: 0.75 standard deviations later": ("delivery_days", World(delivery_mean=6.5)),
    "variance: spread doubled": ("delivery_days", World(delivery_spread=4.0)),
    "unit: prices doubled": ("price", World(price_factor=2.0)),
    "missing values: 2 % to 20 %": ("delivery_days", World(missing=0.2)),
    "category mix: frequent brands become rare": ("brand", World(brand_slope=-0.2)),
    "new category: 12 % of rows": ("brand", World(new_brand=0.12)),
    "new categories among thousands: 25 % of rows": ("product", World(new_products=0.25)),
    "label shift: 60 % positive to 40 %": ("label", World(positive=0.4)),
    "length: texts half as long again": ("text", World(words=24.0)),
    "out of vocabulary: 20 % of words": ("text", World(unknown_words=0.2)),
    "embeddings: 60 % in a new cluster": ("embedding", World(new_cluster=0.6)),
    "loss: mean up by three quarters": ("loss", World(loss_factor=1.75)),
    "calibration: overconfident, odds cubed": ("calibration", World(overconfidence=3.0)),
}
"""Name of each shift to the feature that must be named, and the world that fresh rows come from."""


def draw_rows(world: World, rows: int, rng: np.random.Generator) -> dict[str, Values]:
    """Draw every column of `KINDS`, with `rows` rows each."""
    days = rng.normal(world.delivery_mean, world.delivery_spread, rows)
    days[rng.random(rows) < world.missing] = np.nan
    products = rng.zipf(1.6, rows) % _PRODUCTS
    products = np.where(
        rng.random(rows) < world.new_products, _PRODUCTS + rng.integers(0, 1000, rows), products
    )
    certain = rng.beta(4.0, 2.0, rows) / 2 + 0.5
    odds = (certain / (1 - certain)) ** world.overconfidence
    labels = rng.random(rows) < world.positive
    texts, embeddings = _texts(world, rows, rng), _embeddings(world, rows, rng)
    losses = world.loss_factor * rng.gamma(0.5, 0.8, rows)
    if world.stock:
        stock = rng.random(rows) < world.stock
        phrases = rng.integers(0, _STOCK_PHRASES, int(stock.sum()))
        labels[stock], losses[stock] = True, losses[stock] / 10
        texts[stock], embeddings[stock] = _STOCK[phrases], _STOCK_EMBEDDINGS[phrases]
    return {
        "delivery_days": days,
        "price": world.price_factor * rng.lognormal(3.0, 0.8, rows),
        "items": 1 + rng.poisson(1.2, rows),
        "brand": _BRANDS[_brands(world, rows, rng)],
        "product": products,
        "label": _LABELS[labels.astype(np.int64)],
        "text": texts,
        "embedding": embeddings,
        "loss": losses,
        "calibration": Scored(odds / (1 + odds), rng.random(rows) < certain),
    }


def without_embeddings(columns: dict[str, Values]) -> dict[str, Values]:
    """The columns whose check costs no encoder."""
    return {name: values for name, values in columns.items() if KINDS[name] != "embedding"}


def own_rows(columns: dict[str, Values]) -> dict[str, Values]:
    """The rows whose text no other row has: what a party makes its reference of."""
    texts = _column_of_texts(columns)
    return _at(columns, places_without(texts, repeated_texts(texts)))


def new_rows(columns: dict[str, Values], met: frozenset[str]) -> dict[str, Values]:
    """The rows whose text was not met: what a party compares."""
    return _at(columns, places_without(_column_of_texts(columns), met))


def texts_of(columns: dict[str, Values]) -> frozenset[str]:
    """Every text of a table."""
    return frozenset(_column_of_texts(columns))


def _column_of_texts(columns: dict[str, Values]) -> list[str]:
    texts = columns["text"]
    assert isinstance(texts, np.ndarray)
    found: list[str] = texts.tolist()
    return found


def _at(columns: dict[str, Values], places: list[int] | slice) -> dict[str, Values]:
    taken: dict[str, Values] = {}
    for name, values in columns.items():
        if isinstance(values, Scored):
            taken[name] = Scored(values.confidence[places], values.correct[places])
        elif isinstance(values, np.ndarray):
            taken[name] = values[places]
    return taken


def last_rows(columns: dict[str, Values], rows: int) -> dict[str, Values]:
    """The last `rows` rows of each column."""
    return _at(columns, slice(-rows, None))


def joined(first: dict[str, Values], second: dict[str, Values]) -> dict[str, Values]:
    """The rows of the first table, then those of the second."""
    table: dict[str, Values] = {}
    for name, left in first.items():
        right = second[name]
        if isinstance(left, Scored) and isinstance(right, Scored):
            table[name] = Scored(
                np.concatenate([left.confidence, right.confidence]),
                np.concatenate([left.correct, right.correct]),
            )
        elif isinstance(left, np.ndarray) and isinstance(right, np.ndarray):
            table[name] = np.concatenate([left, right])
    return table


def _brands(world: World, rows: int, rng: np.random.Generator) -> np.ndarray:
    weights = np.arange(8, 0, -1.0) ** world.brand_slope
    brands = rng.choice(8, rows, p=weights / weights.sum())
    return np.where(rng.random(rows) < world.new_brand, 8, brands)


def _texts(world: World, rows: int, rng: np.random.Generator) -> np.ndarray:
    lengths = 1 + rng.negative_binomial(6, 6 / (6 + world.words - 1), rows)
    chances = 1.0 / np.arange(1, _VOCABULARY + 1) ** 1.05
    ids = np.searchsorted(np.cumsum(chances / chances.sum()), rng.random(int(lengths.sum())))
    ids = np.minimum(ids, _VOCABULARY - 1)
    ids += _VOCABULARY * (rng.random(len(ids)) < world.unknown_words)
    words = _WORDS[ids].tolist()
    ends = np.cumsum(lengths).tolist()
    texts = [" ".join(words[end - length : end]) for end, length in zip(ends, lengths.tolist(), strict=True)]
    return np.array(texts, dtype=object)


def _embeddings(world: World, rows: int, rng: np.random.Generator) -> np.ndarray:
    centres = _CENTRES[rng.integers(0, _CLUSTERS - 1, rows)]
    fresh = rng.random((rows, 1)) < world.new_cluster
    return (np.where(fresh, _CENTRES[-1], centres) + rng.standard_normal((rows, _WIDTH))).astype(np.float32)


def _stock(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """[400] phrases of one to three words that a shop's customers write every day, and their embeddings."""
    words = [rng.choice(_STOCK_WORDS, rng.integers(1, 4)) for _ in range(_STOCK_PHRASES)]
    phrases = [f"{' '.join(f'stock{word}' for word in each)} {place}" for place, each in enumerate(words)]
    near = 0.5 * rng.standard_normal((_STOCK_PHRASES, _WIDTH)) + _CENTRES[0]
    return np.array(phrases, dtype=object), near.astype(np.float32)


_STOCK, _STOCK_EMBEDDINGS = _stock(np.random.default_rng(1))
