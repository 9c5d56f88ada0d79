"""From settings to an embedding model."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from pydantic import SecretStr

from core.loading import load
from core.progress import Progress
from core.settings import Settings

if TYPE_CHECKING:
    from langchain_core.embeddings import Embeddings


@asynccontextmanager
async def opened_embeddings(
    settings: Settings, progress: Progress | None = None
) -> AsyncGenerator[Embeddings]:
    """Yield the embedding model that the settings name: an endpoint's, or the embedded one.

    Raises:
        AssetError: the embedded model's files can't be had.
    """
    if settings.embedding_model or settings.embedding_base_url:
        await load("core.endpoint_embeddings")
        yield _endpoint_embeddings(settings)
    else:
        await load("core.embedded.embeddings")
        from core.embedded.embeddings import embedded_embeddings  # noqa: PLC0415 - the extra `local`

        async with embedded_embeddings(settings.cache_dir, progress=progress) as embeddings:
            yield embeddings


def embedding_name(settings: Settings) -> str:
    """Return the name under which vectors of this embedding model are kept apart from others'."""
    if settings.embedding_model or settings.embedding_base_url:
        return settings.embedding_model or "text-embedding-3-small"
    return "all-minilm-l6-v2-int8"


def _endpoint_embeddings(settings: Settings) -> Embeddings:
    from core.endpoint_embeddings import EndpointEmbeddings  # noqa: PLC0415 - slow to import

    key = settings.embedding_api_key or settings.openai_api_key or SecretStr("none")
    return EndpointEmbeddings(
        model=embedding_name(settings),
        base_url=settings.embedding_base_url or settings.openai_base_url,
        api_key=key,
    )
