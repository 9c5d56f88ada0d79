"""The client of an OpenAI-compatible endpoint."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import httpx

from core.loading import load
from core.trust import system_trust

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from langchain_core.language_models import BaseChatModel
    from pydantic import SecretStr

    from core.protocols import ModelProfile
    from core.settings import Settings


@asynccontextmanager
async def chat_client(
    settings: Settings, profile: ModelProfile, base_url: str | None, key: SecretStr
) -> AsyncGenerator[BaseChatModel]:
    """Yield the client of an OpenAI-compatible endpoint; its connections close with the block.

    Retries are policy of the graph's nodes, so the client makes none of its own.
    """
    trust = await asyncio.to_thread(system_trust)
    await load("langchain_openai")
    from langchain_openai import ChatOpenAI  # noqa: PLC0415 - loaded above

    async with httpx.AsyncClient(verify=trust, timeout=settings.model_timeout_s) as client:
        with httpx.Client(verify=trust) as unused_sync_client:
            yield ChatOpenAI(
                model=profile.name,
                base_url=base_url,
                api_key=key,
                temperature=0 if profile.plans_by == "schema" else None,
                max_completion_tokens=profile.max_tokens,
                timeout=settings.model_timeout_s,
                max_retries=0,
                stream_usage=True,
                use_responses_api=False,
                http_client=unused_sync_client,
                http_async_client=client,
            )
