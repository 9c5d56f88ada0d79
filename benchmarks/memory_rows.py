"""Memories in any number, made fast: their vectors lie as those of texts do, their words as often."""

from __future__ import annotations

import struct
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from psycopg import AsyncConnection
from psycopg.adapt import Dumper
from psycopg.pq import Format
from psycopg.types import TypeInfo
from psycopg.types.json import Jsonb

DIMENSIONS: Final = 384
MODEL: Final = "all-minilm-l6-v2-int8"
"""The name under which the process asks for the vectors of questions, so that it finds these."""
HOW_MADE: Final = (
    "vectors of 384 numbers: a mixture of topics, one for about 50 memories of a tenant, inside 48 of the "
    "dimensions, with noise in all; texts of 8 to 40 words out of 30,000, as frequent as their rank is low"
)
_LATENT: Final = 48
_TOPIC_SIZE: Final = 50
_VOCABULARY: Final = 30_000
_COMMON_WORDS: Final = 20
_BATCH: Final = 5_000
_COPY: Final = """
copy boring.memory_item (id, tenant, user_id, namespace, key, value, text, embedding, embedding_model,
    embedding_dimensions, created_at, updated_at, valid_from, trusted) from stdin (format binary)
"""
_TYPES: Final = (
    ["uuid", "text", "text", "text[]", "text", "jsonb", "text", "halfvec", "text", "int4"]
    + ["timestamptz"] * 3
    + ["bool"]
)


@dataclass(frozen=True, slots=True)
class Made:
    """Texts and vectors, row by row.

    Attributes:
        texts: one a row.
        vectors: rows of length 1, `(rows, DIMENSIONS)`.
    """

    texts: list[str]
    vectors: NDArray[np.float32]


class _Half(bytes):
    """A vector as pgvector sends it: how many numbers, nothing, and each as a big-endian half."""

    __slots__ = ()


class _HalfDumper(Dumper):
    format = Format.BINARY

    def dump(self, obj: _Half) -> bytes:
        return bytes(obj)


class Maker:
    """Makes memories; the same seed makes the same ones."""

    def __init__(self, seed: int, *, rows: int) -> None:
        self._random = np.random.default_rng(seed)
        self._axes = np.linalg.qr(self._random.standard_normal((DIMENSIONS, _LATENT)))[0].T
        self._topics = self._random.standard_normal((max(4, rows // _TOPIC_SIZE), _LATENT))
        weights = 1.0 / (np.arange(1, _VOCABULARY + 1) + _COMMON_WORDS)
        self._chances = np.cumsum(weights / weights.sum())

    def make(self, rows: int) -> Made:
        """Return that many more."""
        topics = self._random.integers(0, len(self._topics), rows)
        latent = self._topics[topics] + 0.6 * self._random.standard_normal((rows, _LATENT))
        noise = self._random.standard_normal((rows, DIMENSIONS)) * 0.15
        vectors = latent @ self._axes + noise
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return Made(self._texts(topics), vectors.astype(np.float32))

    def _texts(self, topics: NDArray[np.int64]) -> list[str]:
        lengths = self._random.integers(8, 40, len(topics))
        words = np.searchsorted(self._chances, self._random.random(int(lengths.sum()))).clip(
            0, _VOCABULARY - 1
        )
        named = [f"w{number}" for number in words.tolist()]
        ends = np.cumsum(lengths).tolist()
        starts = [0, *ends[:-1]]
        return [
            f"t{topic} {' '.join(named[start:end])}"
            for topic, start, end in zip(topics.tolist(), starts, ends, strict=True)
        ]


async def fill(connection: AsyncConnection[Any], tenant: str, user: str, maker: Maker, *, rows: int) -> Made:
    """Store new memories of a tenant's user, past row-level security; return them."""
    halfvec = await TypeInfo.fetch(connection, "halfvec")
    if halfvec is None:
        raise ValueError("the database has no type halfvec")
    halfvec.register(connection)
    connection.adapters.register_dumper(_Half, type("", (_HalfDumper,), {"oid": halfvec.oid}))
    kept: list[Made] = []
    number = 0
    async with connection.cursor() as cursor, cursor.copy(_COPY) as copy:
        copy.set_types(_TYPES)
        while number < rows:
            made = maker.make(min(_BATCH, rows - number))
            for row in _rows(made, tenant, user, number):
                await copy.write_row(row)
            number += len(made.texts)
            kept.append(made)
    return Made([text for made in kept for text in made.texts], np.concatenate([m.vectors for m in kept]))


def _rows(made: Made, tenant: str, user: str, first: int) -> Iterator[tuple[Any, ...]]:
    moment = datetime.now(UTC) - timedelta(days=1)
    place = ["users", user, "fact"]
    halves = made.vectors.astype(">f2")
    head = struct.pack(">HH", DIMENSIONS, 0)
    for number, (text, vector) in enumerate(zip(made.texts, halves, strict=True), start=first):
        yield (
            uuid.uuid4(),
            tenant,
            user,
            place,
            str(number),
            Jsonb({"text": text}),
            text,
            _Half(head + vector.tobytes()),
            MODEL,
            DIMENSIONS,
            moment,
            moment,
            moment,
            True,
        )
