"""Counting uses beside the searches."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from langgraph.store.base import PutOp
from pydantic import SecretStr

from core.process import opened_process
from core.settings import Settings
from evals.scripted_model import ScriptedModel
from memory.store import MemoryStore
from memory.store_uses import uses

ADA = ("users", "ada")


@pytest.fixture
async def settings(postgres_url: str, tmp_path: Path) -> AsyncIterator[Settings]:
    async with ScriptedModel(dimensions=64) as model:
        yield Settings(
            database_url=SecretStr(postgres_url), data_dir=tmp_path, embedding_base_url=model.base_url
        )


async def counted(url: str) -> dict[str, int]:
    async with await psycopg.AsyncConnection.connect(url) as connection:
        rows = await connection.execute("select key, uses from boring.memory_item")
        return {str(key): int(uses) for key, uses in await rows.fetchall()}


async def filled(*keys: str) -> MemoryStore:
    store = MemoryStore()
    await store.abatch([PutOp(ADA, key, {"text": key}) for key in keys])
    return store


async def test_a_process_that_ends_writes_down_what_it_counted(settings: Settings, postgres_url: str) -> None:
    async with opened_process(settings):
        store = await filled("tea", "jam")
        for _ in range(3):
            await store.aget(ADA, "tea")
        assert await counted(postgres_url) == {"tea": 0, "jam": 0}
    assert await counted(postgres_url) == {"tea": 3, "jam": 0}


async def test_what_was_counted_is_written_while_the_process_goes_on(
    settings: Settings, postgres_url: str
) -> None:
    async with opened_process(settings):
        await (await filled("tea")).aget(ADA, "tea")
        async with asyncio.timeout(30):
            while await counted(postgres_url) != {"tea": 1}:
                pass


async def test_processes_that_count_the_same_memory_lose_nothing(
    settings: Settings, postgres_url: str
) -> None:
    async with opened_process(settings):
        await (await filled("tea")).aget(ADA, "tea")
        async with opened_process(settings):
            await MemoryStore().aget(ADA, "tea")
    assert await counted(postgres_url) == {"tea": 2}


async def test_a_database_that_refuses_costs_the_uses_and_is_logged(
    settings: Settings, postgres_url: str, caplog: Any
) -> None:
    async with opened_process(settings):
        await (await filled("tea")).aget(ADA, "tea")
        async with await psycopg.AsyncConnection.connect(postgres_url, autocommit=True) as connection:
            await connection.execute("alter table boring.memory_item rename to elsewhere")
            await (await uses()).write()
            await connection.execute("alter table boring.elsewhere rename to memory_item")
        assert "The uses of 1 memories are not counted" in caplog.text
    assert await counted(postgres_url) == {"tea": 0}


async def test_a_memory_that_is_being_written_is_not_waited_for(
    settings: Settings, postgres_url: str
) -> None:
    async with opened_process(settings):
        await (await filled("tea", "jam")).aget(ADA, "tea")
        await MemoryStore().aget(ADA, "jam")
        async with await psycopg.AsyncConnection.connect(postgres_url) as writer:
            await writer.execute("update boring.memory_item set value = value where key = 'tea'")
            await (await uses()).write()
            await writer.rollback()
    assert await counted(postgres_url) == {"tea": 0, "jam": 1}
