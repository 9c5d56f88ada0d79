"""What models of the operator's own cost."""

from dataclasses import dataclass

from pydantic import ConfigDict, NonNegativeFloat


@dataclass(frozen=True, slots=True)
class Price:
    """What a model costs, in US dollars for a million tokens.

    Attributes:
        input: of tokens that are read.
        output: of tokens that are written, reasoning included.
        cached: of tokens that are read from the cache; None as `input`.
        cache_write: of tokens that are written to the cache; None as `input`.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    input: NonNegativeFloat
    output: NonNegativeFloat
    cached: NonNegativeFloat | None = None
    cache_write: NonNegativeFloat | None = None
