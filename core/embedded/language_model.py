"""The embedded language model as a `Model`: weights fetched, server started, client made."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from pydantic import SecretStr

from core.chat_client import chat_client
from core.embedded.assets import ensure_asset
from core.embedded.catalogue import CHAT_MODELS
from core.embedded.model_prefix import remember_prefix
from core.embedded.model_server import embedded_model
from core.progress import Progress
from core.protocols import Model, ModelProfile
from core.settings import Settings

if TYPE_CHECKING:
    from langchain_core.messages import AnyMessage


@asynccontextmanager
async def opened_language_model(
    settings: Settings, profile: ModelProfile, progress: Progress | None = None
) -> AsyncGenerator[Model]:
    """Yield the embedded model; its server stops when the last process that uses it is gone.

    Raises:
        AssetError: the weights can't be had.
    """
    weights = await ensure_asset(
        CHAT_MODELS[profile.name], settings.cache_dir, named_path=settings.model_path, progress=progress
    )
    async with (
        embedded_model(weights, cache_dir=settings.cache_dir, threads=settings.model_threads) as endpoint,
        chat_client(settings, profile, endpoint.base_url, SecretStr(endpoint.api_key)) as chat,
    ):

        async def remember(prefix: Sequence[AnyMessage]) -> None:
            from langchain_core.messages import convert_to_openai_messages  # noqa: PLC0415 - see core.loading

            await remember_prefix(
                endpoint, convert_to_openai_messages(list(prefix)), cache_dir=settings.cache_dir
            )

        async def count_tokens(text: str) -> int:
            async with endpoint.client() as client:
                answer = await client.post("/tokenize", json={"content": text})
            return len(answer.raise_for_status().json()["tokens"])

        yield Model(profile=profile, chat=chat, remember=remember, count_tokens=count_tokens)
