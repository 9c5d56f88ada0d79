"""Which of the passages that were found an answer rests on."""

import re
from collections import Counter
from collections.abc import Sequence

from langchain_core.messages import AnyMessage, ToolMessage

from core.state import Source

MIN_SHARED_SHARE = 0.3
"""Share of the answer's telling words that a passage must hold to count as its source."""
MAX_CITED = 3
_WORD = re.compile(r"[a-z0-9_]{4,}")


def sources_found(turn_messages: Sequence[AnyMessage]) -> list[Source]:
    """Return the passages that tools handed back in this turn."""
    return [
        source
        for message in turn_messages
        if isinstance(message, ToolMessage) and message.artifact
        for source in message.artifact["sources"]
    ]


def cited_sources(answer: str, found: Sequence[Source]) -> list[str]:
    """Return the names of the sources that the answer rests on, the strongest first.

    A source counts when the answer names it, or when one of its passages shares enough of the answer's words
    of four letters and more. Where nothing was found, nothing is cited.
    """
    words = set(_WORD.findall(answer.lower()))
    shares: Counter[str] = Counter()
    for source in found:
        passage = set(_WORD.findall(source["text"].lower()))
        share = len(words & passage) / len(words) if words else 0.0
        share += 1.0 if source["source"] in answer else 0.0
        shares[source["source"]] = max(shares[source["source"]], int(share * 1000))
    return [name for name, share in shares.most_common(MAX_CITED) if share >= MIN_SHARED_SHARE * 1000]
