"""Which long-term store the server uses, and what it can't do."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import sys
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any, cast

from langgraph.store.base import BaseStore

from app.server_settings import read_server_file
from core.errors import ConfigurationError
from memory.store import MemoryStore
from memory.vector_store import VectorMemoryStore

BUILT_IN = "built in, on Postgres: transactions, row-level security, history, search by meaning and words"


async def described_store(file: Path) -> str:
    """Open the store that a `langgraph.json` names, as the server does, and tell what it is and lacks.

    Raises:
        ConfigurationError: the file or the store can't be used.
    """
    if not await asyncio.to_thread(file.exists):
        return f"there is no {file}; it is what an agent is made with, as create_agent(store=MemoryStore())"
    named = (await asyncio.to_thread(read_server_file, file)).get("store") or {}
    if not (path := named.get("path")):
        return f"the server's own, since {file} names none: see its documentation for what it can do"
    try:
        async with AsyncExitStack() as stack:
            return _told(await _opened(stack, await asyncio.to_thread(_loaded, path)), path)
    except Exception as error:  # another's code, which may raise anything; no graph runs here
        raise ConfigurationError(
            f"The store {path!r} of {file} can't be opened ({type(error).__name__}: {error}). Correct it."
        ) from error


def _told(store: object, path: str) -> str:
    if isinstance(store, MemoryStore):
        return BUILT_IN
    if isinstance(store, VectorMemoryStore):
        return "; ".join((f"{store.backend.name}, by {path}", *store.lacks))
    if isinstance(store, BaseStore):
        return (
            f"{type(store).__name__}, by {path}: nothing is known of its transactions and row-level security"
        )
    raise TypeError(f"it is a {type(store).__name__}; expected a BaseStore, or what makes one")


def _loaded(path: str) -> Any:
    place, _, name = path.rpartition(":" if ".py:" in path else ".")
    if not place.endswith(".py"):
        return getattr(importlib.import_module(place), name)
    spec = spec_from_file_location(f"store_of_{Path(place).stem}", place)
    if spec is None or spec.loader is None:
        raise ImportError(f"{place} is no Python file")
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return getattr(module, name)


async def _opened(stack: AsyncExitStack, value: Any) -> object:
    """Return the store that a value is or makes: a function, a coroutine or an asynchronous context."""
    if callable(value) and not isinstance(value, BaseStore):
        value = value()
    if inspect.isawaitable(value):
        value = await value
    if isinstance(value, AbstractAsyncContextManager) and not isinstance(value, BaseStore):
        return await stack.enter_async_context(cast("AbstractAsyncContextManager[object]", value))
    return value
