"""Embeddings without a model: vectors of hashed words, so that texts that share words are near."""

import base64
import hashlib
import math
import re
import struct

_BUCKETS_PER_WORD = 4


def embed_hashed(text: str, dimensions: int) -> list[float]:
    """Return a vector of length 1; the same text always gives the same one, in any process.

    A text without a word gives the first axis.
    """
    vector = [0.0] * dimensions
    for word in re.findall(r"\w+", text.casefold()):
        digest = hashlib.blake2b(word.encode(), digest_size=4 * _BUCKETS_PER_WORD).digest()
        for (number,) in struct.iter_unpack("<I", digest):
            vector[(number >> 1) % dimensions] += 1.0 if number & 1 else -1.0
    length = math.sqrt(sum(x * x for x in vector))
    if length == 0.0:
        return [1.0] + [0.0] * (dimensions - 1)
    return [x / length for x in vector]


def as_base64(vector: list[float]) -> str:
    """Return the vector as OpenAI's `base64` encoding: little-endian 32-bit floats."""
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
