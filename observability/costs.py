"""What model calls cost, by dated public prices or by the operator's own."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from core.prices import Price

if TYPE_CHECKING:
    from langchain_core.messages.ai import UsageMetadata

FREE: Final = frozenset({"embedded", "embedded-small"})
"""Models that run in this process's own care and cost nothing by the token."""
EMBEDDED: Final = "embedded"
"""Who provides them."""
_MILLION: Final = 1_000_000
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Tokens:
    """The tokens of one model call. Those of the cache are part of `input`, reasoning is part of `output`."""

    input: int = 0
    output: int = 0
    cached: int = 0
    cache_write: int = 0
    reasoning: int = 0


def tokens_of(usage: UsageMetadata | None) -> Tokens | None:
    """Return the tokens that an endpoint has reported, or None where it reported none."""
    if usage is None:
        return None
    read, wrote = usage.get("input_token_details") or {}, usage.get("output_token_details") or {}
    return Tokens(
        usage["input_tokens"],
        usage["output_tokens"],
        read.get("cache_read") or 0,
        read.get("cache_creation") or 0,
        wrote.get("reasoning") or 0,
    )


def cost_of(
    model: str, tokens: Tokens, *, provider: str, at: datetime, own: Mapping[str, Price]
) -> Decimal | None:
    """Return what a call has cost in US dollars, or None where the price of the model is not known.

    Args:
        model: as the endpoint calls it.
        tokens: what the call took.
        provider: its name or the host of its endpoint; a gateway's prices are its own.
        at: when it was made; prices change.
        own: the operator's prices by the model's name, which go before public ones.
    """
    of_cache = tokens.cached + tokens.cache_write
    if min(tokens.input - of_cache, tokens.output, tokens.cached, tokens.cache_write) < 0:
        return None
    if model in own:
        return _by(own[model], tokens)
    if provider == EMBEDDED and model in FREE:
        return Decimal(0)
    return _public(model, tokens, provider, at)


def _by(price: Price, tokens: Tokens) -> Decimal:
    cached = price.input if price.cached is None else price.cached
    cache_write = price.input if price.cache_write is None else price.cache_write
    parts = (
        (tokens.input - tokens.cached - tokens.cache_write, price.input),
        (tokens.cached, cached),
        (tokens.cache_write, cache_write),
        (tokens.output, price.output),
    )
    return sum((Decimal(str(each)) * many for many, each in parts), Decimal(0)) / _MILLION


def _public(model: str, tokens: Tokens, provider: str, at: datetime) -> Decimal | None:
    from genai_prices import Usage, calc_price  # noqa: PLC0415 - reads 1.6 MB of prices

    try:
        usage = Usage(
            input_tokens=tokens.input,
            output_tokens=tokens.output,
            cache_read_tokens=tokens.cached,
            cache_write_tokens=tokens.cache_write,
        )
        price = (
            calc_price(usage, model, provider_api_url=f"https://{provider}", genai_request_timestamp=at)
            if "." in provider or ":" in provider
            else calc_price(usage, model, provider_id=provider, genai_request_timestamp=at)
        )
    except LookupError:
        _warn_once(model, provider)
        return None
    except ValueError:  # the endpoint tells more tokens of the cache than in all, or less than none
        return None
    return price.total_price


@lru_cache(maxsize=1000)
def _warn_once(model: str, provider: str) -> None:
    _log.info(
        "The price of %s at %s is not known; BORING_PRICES can name it.", model, provider or "its endpoint"
    )
