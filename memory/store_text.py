"""What an item is found by: the text of its fields, and the embedding of that text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from langgraph.store.base import get_text_at_path

from core.embedding import embedding_name
from core.process import current_process
from core.text import storable_text

MAX_CHARS = 8000
"""What stands after it is kept in the value and not searched, and of a question not asked for.

The embedded model reads less than that.
"""


def searchable(value: Mapping[str, Any], fields: Sequence[str]) -> str | None:
    """Return the text of an item's fields, a line for each; None if there is none.

    Args:
        value: the item's.
        fields: paths as `langgraph.store.base.PutOp` has them; `$` is all of it.
    """
    lines: list[str] = []
    for field in fields:
        lines += _all_lines(value) if field == "$" else get_text_at_path(value, field)
    text = storable_text("\n".join(line for line in lines if line.strip()))[:MAX_CHARS]
    return text or None


def asked_text(question: str) -> str:
    """Return a question as it is searched, by words and by meaning: as long as an item's text at most."""
    return storable_text(question)[:MAX_CHARS]


async def embedded(texts: Sequence[str]) -> tuple[list[list[float]], str]:
    """Return the embeddings of texts that are stored, and the name of the model they came from."""
    process = await current_process()
    model = embedding_name(process.settings)
    if not texts:
        return [], model
    return await (await process.embeddings()).aembed_documents(list(texts)), model


async def embedded_question(question: str) -> tuple[list[float], str]:
    """Return the embedding of a question, and the name of the model it came from."""
    process = await current_process()
    return await (await process.embeddings()).aembed_query(question), embedding_name(process.settings)


def _all_lines(value: Mapping[str, Any]) -> list[str]:
    """Return the leaves with their names; a single one alone, since its name says nothing then."""
    leaves = list(_leaves(value, ""))
    if len(leaves) == 1 and isinstance(leaves[0][1], str):
        return [leaves[0][1]]
    return [f"{name}: {leaf}" for name, leaf in leaves]


def _leaves(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, inner in cast("Mapping[Any, Any]", value).items():
            yield from _leaves(inner, f"{name} {key}".strip())
    elif isinstance(value, (list, tuple)):
        for inner in cast("Sequence[Any]", value):
            yield from _leaves(inner, name)
    elif value is not None:
        yield name, value
