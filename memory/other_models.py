"""Embedding models that the settings no longer name, asked for as long as their vectors are searched."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary

from core.embedding import embedding_name, opened_embeddings, settings_of_model
from core.errors import ConfigurationError
from core.process import Process, current_process

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.embeddings import Embeddings

REEMBED: Final = "boring memory reembed"
"""The command that embeds a tenant's memories and documents anew."""
_ASK_AGAIN_S: Final = 60.0
_log = logging.getLogger(__name__)
_told: WeakKeyDictionary[Process, dict[str, float]] = WeakKeyDictionary()
"""What was told of and failed, and until when it is neither told nor tried again."""


def tells_again(process: Process, name: str) -> bool:
    """Return whether something has not been told for a minute, and take note that it is told now."""
    told = _told.setdefault(process, {})
    if told.get(name, 0.0) > time.monotonic():
        return False
    told[name] = time.monotonic() + _ASK_AGAIN_S
    return True


async def embedded_by(model: str, texts: Sequence[str], *, what: str) -> list[list[float]] | None:
    """Return a vector for each text that is stored, by another model; None if it can't be asked.

    Args:
        model: its name as vectors are kept under.
        texts: at least one.
        what: is embedded by it, such as `Memories`; a warning begins with that.
    """
    embeddings = await _embeddings_of(model, what)
    if embeddings is None:
        return None
    try:
        return await embeddings.aembed_documents(list(texts))
    except ConfigurationError as error:
        await _note_missing(model, error, what)
        return None


async def question_embedded_by(model: str, question: str, *, what: str) -> list[float] | None:
    """Return the vector of a question by another model, as `embedded_by` does for texts."""
    embeddings = await _embeddings_of(model, what)
    if embeddings is None:
        return None
    try:
        return await embeddings.aembed_query(question)
    except ConfigurationError as error:
        await _note_missing(model, error, what)
        return None


async def _embeddings_of(model: str, what: str) -> Embeddings | None:
    process = await current_process()
    if _told.setdefault(process, {}).get(f"{what} {model}", 0.0) > time.monotonic():
        return None
    try:
        settings = settings_of_model(process.settings, model)
        return await process.once(f"embeddings {model}", lambda: opened_embeddings(settings))
    except ConfigurationError as error:
        await _note_missing(model, error, what)
        return None


async def _note_missing(model: str, error: ConfigurationError, what: str) -> None:
    process = await current_process()
    tells_again(process, f"{what} {model}")
    _log.warning(
        "%s were embedded by %r, which can't be asked (%s); they are searched by words only until"
        " `%s` has embedded them by %r.",
        what,
        model,
        error,
        REEMBED,
        embedding_name(process.settings),
    )
