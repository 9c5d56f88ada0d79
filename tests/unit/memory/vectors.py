"""Vector stores for tests."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from langchain_core.embeddings import Embeddings
from langchain_postgres import PGEngine, PGVectorStore
from psycopg import AsyncConnection
from sqlalchemy.ext.asyncio import create_async_engine


@asynccontextmanager
async def pg_vectors(url: str, embeddings: Embeddings, *, dimensions: int) -> AsyncGenerator[PGVectorStore]:
    """Yield a `PGVectorStore` on a table of its own, as its documentation makes one."""

    async def connect() -> AsyncConnection[Any]:
        return await AsyncConnection.connect(url)

    engine = create_async_engine("postgresql+psycopg://", async_creator=connect)
    try:
        made = PGEngine.from_engine(engine)
        await made.ainit_vectorstore_table("long_term", dimensions)
        yield await PGVectorStore.create(made, embeddings, "long_term")
    finally:
        await engine.dispose()
