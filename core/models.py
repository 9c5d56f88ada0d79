"""From settings to a chat model: OpenAI, any OpenAI-compatible endpoint, or the embedded model."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import httpx
from pydantic import SecretStr

from core.errors import ConfigurationError
from core.loading import load
from core.process import current_process
from core.protocols import Model, ModelProfile, ModelSource
from core.trust import system_trust

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from langchain_core.language_models import BaseChatModel

    from core.progress import Progress
    from core.settings import Settings

EMBEDDED_NAMES = ("embedded", "embedded-small")
_DEFAULT_OPENAI_MODEL = "gpt-5-mini"
_EMBEDDED = ModelProfile(
    name="embedded", plans_by="schema", context_tokens=6144, max_tokens=320, tool_rounds=1
)


def uses_embedded_model(settings: Settings) -> bool:
    """Tell whether no endpoint is named, so that the embedded model answers."""
    if settings.model in EMBEDDED_NAMES:
        return True
    return settings.openai_api_key is None and settings.openai_base_url is None


def model_profile(settings: Settings) -> ModelProfile:
    """Return what is known of the model that the settings name.

    Raises:
        ConfigurationError: a model is named, but no endpoint that has it.
    """
    if uses_embedded_model(settings):
        name = settings.model or "embedded"
        if name not in EMBEDDED_NAMES:
            raise ConfigurationError(
                f"BORING_MODEL is {name!r}, but neither OPENAI_API_KEY nor OPENAI_BASE_URL is set. "
                f"Set one of them, or BORING_MODEL to one of {', '.join(EMBEDDED_NAMES)}."
            )
        profile = replace(_EMBEDDED, name=name)
    else:
        profile = ModelProfile(
            name=settings.model or _DEFAULT_OPENAI_MODEL, max_tokens=settings.model_max_tokens
        )
    if settings.planner != "auto":
        profile = replace(profile, plans_by=settings.planner)
    return profile


def given_model(chat: BaseChatModel) -> ModelSource:
    """Return a source of a chat model that the caller made, which is trusted to call tools."""
    name = str(getattr(chat, "model_name", None) or type(chat).__name__)
    model = Model(profile=ModelProfile(name=name), chat=chat)

    async def source() -> Model:
        return model

    return source


def configured_model(name: str | None = None) -> ModelSource:
    """Return a source of the model that the settings name, opened once for each process.

    Args:
        name: takes the place of `BORING_MODEL`.
    """

    async def source() -> Model:
        process = await current_process()
        settings = process.settings.model_copy(update={"model": name}) if name else process.settings
        return await process.once(f"model {settings.model}", lambda: opened_model(settings, process.progress))

    return source


@asynccontextmanager
async def opened_model(settings: Settings, progress: Progress | None = None) -> AsyncGenerator[Model]:
    """Yield the model that the settings name.

    Raises:
        ConfigurationError: the settings contradict each other.
        AssetError: the weights of the embedded model can't be had.
    """
    profile = model_profile(settings)
    if uses_embedded_model(settings):
        from core.embedded.language_model import opened_language_model  # noqa: PLC0415 - the extra `local`

        async with opened_language_model(settings, profile, progress) as model:
            yield model
        return
    key = settings.openai_api_key or SecretStr("none")
    async with chat_client(settings, profile, settings.openai_base_url, key) as chat:
        yield Model(profile=profile, chat=chat)


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
