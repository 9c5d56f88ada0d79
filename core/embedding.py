"""From settings to an embedding model, and from the name recorded with vectors back to the model."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs, urlencode

from pydantic import SecretStr

from core.errors import ConfigurationError
from core.loading import load
from core.progress import Progress
from core.settings import Settings

if TYPE_CHECKING:
    from langchain_core.embeddings import Embeddings

_EMBEDDED: Final = "all-minilm-l6-v2-int8"
_DEFAULT: Final = "text-embedding-3-small"


@asynccontextmanager
async def opened_embeddings(
    settings: Settings, progress: Progress | None = None
) -> AsyncGenerator[Embeddings]:
    """Yield the embedding model that the settings name: an endpoint's, or the embedded one.

    Raises:
        AssetError: the embedded model's files can't be had.
    """
    if _at_endpoint(settings):
        await load("core.endpoint_embeddings")
        yield _endpoint_embeddings(settings)
    else:
        await load("core.embedded.embeddings")
        from core.embedded.embeddings import embedded_embeddings  # noqa: PLC0415 - the extra `local`

        async with embedded_embeddings(settings.cache_dir, progress=progress) as embeddings:
            yield embeddings


def embedding_name(settings: Settings) -> str:
    """Return the name under which vectors of this embedding model are kept apart from others'.

    What is put before questions and documents is part of it, since other vectors come of it.
    """
    if not _at_endpoint(settings):
        return _EMBEDDED
    model = settings.embedding_model or _DEFAULT
    prefixes = {"query": settings.embedding_query_prefix, "document": settings.embedding_document_prefix}
    given = {name: prefix for name, prefix in prefixes.items() if prefix}
    return f"{model}?{urlencode(given)}" if given else model


def known_embedding_names() -> tuple[str, ...]:
    """Return the names of the models that are used where the settings name none."""
    return _EMBEDDED, _DEFAULT


def settings_of_model(settings: Settings, name: str) -> Settings:
    """Return settings under which the embedding model is the one called `name`, at the same endpoint.

    Raises:
        ConfigurationError: the settings name no endpoint that could have it.
    """
    if name == _EMBEDDED:
        return settings.model_copy(update={"embedding_model": None, "embedding_base_url": None})
    if not (_at_endpoint(settings) or settings.openai_base_url or settings.openai_api_key):
        raise ConfigurationError(f"no endpoint is set that could have the embedding model {name!r}")
    model, _, prefixes = name.partition("?")
    given = parse_qs(prefixes)
    update = {
        "embedding_model": model,
        "embedding_query_prefix": given.get("query", [""])[0],
        "embedding_document_prefix": given.get("document", [""])[0],
    }
    return settings.model_copy(update=update)


def _at_endpoint(settings: Settings) -> bool:
    return bool(settings.embedding_model or settings.embedding_base_url)


def _endpoint_embeddings(settings: Settings) -> Embeddings:
    from core.endpoint_embeddings import EndpointEmbeddings  # noqa: PLC0415 - slow to import

    return EndpointEmbeddings(
        model=settings.embedding_model or _DEFAULT,
        base_url=settings.embedding_base_url or settings.openai_base_url,
        api_key=settings.embedding_api_key or settings.openai_api_key or SecretStr("none"),
        query_prefix=settings.embedding_query_prefix,
        document_prefix=settings.embedding_document_prefix,
    )
