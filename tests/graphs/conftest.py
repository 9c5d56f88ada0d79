from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from langchain_openai import ChatOpenAI
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.types import RetryPolicy
from pydantic import SecretStr

from core.process import Process, opened_process
from core.settings import Settings
from evals.scripted_model import Line, ScriptedModel
from graphs import loop
from memory.checkpoints import postgres_checkpointer


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a model that fails be asked again at once, and not after half a second and more."""
    policy: RetryPolicy = loop._MODEL_RETRY  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
    monkeypatch.setattr(loop, "_MODEL_RETRY", policy._replace(initial_interval=0.01, jitter=False))


@pytest.fixture
async def process(postgres_url: str, tmp_path: Path) -> AsyncIterator[Process]:
    settings = Settings(database_url=SecretStr(postgres_url), data_dir=tmp_path, cache_dir=tmp_path)
    async with opened_process(settings) as opened:
        yield opened


@pytest.fixture
async def saver(process: Process) -> AsyncPostgresSaver:
    assert process.settings.database_url is not None
    return await postgres_checkpointer()


@pytest.fixture
async def speaking() -> AsyncIterator[Callable[[Sequence[Line]], Any]]:
    """Return a function that turns a script into a chat model behind real HTTP."""
    models: list[ScriptedModel] = []

    async def start(script: Sequence[Line]) -> ChatOpenAI:
        model = ScriptedModel(script)
        await model.__aenter__()
        models.append(model)
        chat = ChatOpenAI(
            base_url=model.base_url,
            api_key=SecretStr(model.api_key),
            model="scripted",
            max_retries=0,
            stream_usage=True,
        )
        chat.metadata = {"scripted": model}
        return chat

    yield start
    for model in models:
        await model.__aexit__(None, None, None)
