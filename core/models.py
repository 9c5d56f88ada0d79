"""From settings to a chat model: OpenAI, any OpenAI-compatible endpoint, or the embedded model."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pydantic import SecretStr

from core.chat_client import chat_client
from core.errors import ConfigurationError
from core.process import current_process
from core.protocols import FallbackSource, Model, ModelProfile, ModelSource

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from langchain_core.language_models import BaseChatModel

    from core.progress import Progress
    from core.settings import Settings

EMBEDDED_NAMES = ("embedded", "embedded-small")
_OPENAI = "https://api.openai.com/v1"
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
            name=settings.model or _DEFAULT_OPENAI_MODEL,
            max_tokens=settings.model_max_tokens,
            structured_by=_structured_by(settings.openai_base_url or _OPENAI),
            endpoint=_endpoint(settings.openai_base_url or _OPENAI),
        )
    if settings.planner != "auto":
        profile = replace(profile, plans_by=settings.planner)
    return profile


def _structured_by(base_url: str) -> str:
    """Return how models at an address give a structured answer, see `ModelProfile`.

    Of other endpoints some refuse a schema beside tools (llama.cpp), and some call no tools then (vLLM).
    """
    return "json_schema" if urlsplit(base_url).hostname == urlsplit(_OPENAI).hostname else "tools"


def _endpoint(base_url: str) -> str:
    """Return what tells an endpoint from others and shows no secret: of an unusual path only a hash."""
    address = urlsplit(base_url)
    path = address.path.rstrip("/")
    digest = "" if path in {"", "/v1"} else f"/{sha256(path.encode()).hexdigest()[:8]}"
    return f"{address.netloc.rpartition('@')[2]}{digest}"


def given_model(chat: BaseChatModel) -> ModelSource:
    """Return a source of a chat model that the caller made, which is trusted to call tools."""
    name = str(getattr(chat, "model_name", None) or type(chat).__name__)
    client = getattr(chat, "root_async_client", None)  # of LangChain's OpenAI models
    base_url = str(getattr(client, "base_url", ""))
    profile = ModelProfile(name=name, structured_by=_structured_by(base_url), endpoint=_endpoint(base_url))
    model = Model(profile=profile, chat=chat)

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


async def configured_fallbacks() -> list[ModelSource]:
    """Return the sources of the models that `BORING_FALLBACK_MODELS` names."""
    return [configured_model(name) for name in (await current_process()).settings.fallback_models]


def given_fallbacks(*sources: ModelSource) -> FallbackSource:
    """Return a source of these fallbacks."""

    async def source() -> tuple[ModelSource, ...]:
        return sources

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
