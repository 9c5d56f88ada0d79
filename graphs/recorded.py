"""A graph of one's own on record: a call of it from outside is a run, of which the agents in it are parts."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import cache
from typing import Any, Final, cast

import psycopg
from langchain_core.runnables import RunnableConfig
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Command

from core.context import run_context
from core.database import Database
from core.errors import BoringError
from core.process import current_process
from core.state import Answer, StopReason
from core.text import storable_text
from graphs.ends import End, NoAnswerError, can_be_asked, end_of, failed_end, message_of
from graphs.traced import TracedGraph, control_around, is_in_untraced
from memory.claims import current_claims
from memory.run_ends import end_run
from memory.runs import begin_run, latest_run, mark_run
from observability import names
from observability.invocations import Invocation, Part
from observability.spans import tell_answer, tell_question

RUN_KEY: Final = "boring_run"
"""Under which the metadata of a call, and so those of its checkpoints, tell its run."""

_log = logging.getLogger(__name__)
_NOTHING_SAID: Final[Answer] = {"text": "", "status": "answered", "sources": []}


class RecordedGraph(TracedGraph):
    """A graph that knows nothing of runs."""

    def astream(  # pyright: ignore[reportIncompatibleMethodOverride] - takes whatever LangGraph's takes
        self,
        input: Any,  # noqa: A002 - callers name it
        config: RunnableConfig | None = None,
        **options: Any,
    ) -> AsyncIterator[Any]:
        """Run the graph on record; within a graph that is not, as it would run if it were not either."""
        if is_in_untraced():
            _say_unrecorded(self.name)
            return super(TracedGraph, self).astream(input, config, **options)
        return super().astream(input, config, **options)

    @asynccontextmanager
    async def _called(
        self, one: Invocation, given: Any, config: RunnableConfig, options: dict[str, Any]
    ) -> AsyncGenerator[None]:
        """Hold the thread, begin a run or go on with it, and write down how the call ended."""
        control = options["control"] = options.get("control") or control_around()
        claims = await current_claims()
        async with (
            super()._called(one, given, config, options),
            claims.working(one.whose.get(names.CONVERSATION, ""), control) as claim,
        ):
            try:
                await self._begin(one, given, config, options.get("context"))
                yield
                await self._end(one, config)
            except BaseException:
                await self._left(one, config)
                raise
            finally:
                claim.ending = True

    async def _begin(self, one: Invocation, given: Any, config: RunnableConfig, context: Any) -> None:
        database = await (await current_process()).database()
        thread_id = one.whose.get(names.CONVERSATION, "")
        # As the commands say it; a client of the server can name another one's run in its metadata.
        is_told = config.get("metadata", {}).get(RUN_KEY) == one.called_as
        goes_on = given is None or isinstance(given, Command)
        unfinished = None
        if goes_on and thread_id and not is_told:
            unfinished = await self._unfinished(database, thread_id)
            if not unfinished and await self._has_nothing_to_do(given, config):
                return  # nothing runs, which is no run
        run_id = unfinished or one.called_as or str(uuid.uuid4())
        config["metadata"] = {**config.get("metadata", {}), RUN_KEY: run_id}
        one.belongs_to(run_id, None)
        question = _question(given)
        tell_question(one, question)
        await begin_run(
            database,
            thread_id=thread_id,
            run_id=run_id,
            graph=self.name,
            question=question,
            context=run_context(context),
            received=not goes_on,
        )
        if goes_on:
            async with database.pool.connection() as connection:
                await mark_run(connection, run_id, "running")

    async def _unfinished(self, database: Database, thread_id: str) -> str | None:
        row = await latest_run(database, thread_id)
        return row.run_id if row is not None and row.graph == self.name and not row.finished_at else None

    async def _has_nothing_to_do(self, given: Any, config: RunnableConfig) -> bool:
        """Tell whether a call that goes on finds nothing to go on with."""
        if not self.checkpointer or (isinstance(given, Command) and (given.update or given.goto)):
            return False
        return not (await self.aget_state(config)).tasks

    async def _end(self, one: Invocation, config: RunnableConfig) -> None:
        """Write down how a call ended. One that fails on a thread leaves its run, to be gone on with."""
        if not one.run_id:
            return
        end = await self._told(one, config)
        if end is None:
            one.interrupted()
            return
        end = _as_agents_ended(end, one.parts)
        one.outcome = end.answer["status"]
        tell_answer(one, end.answer["text"], end.answer["status"])
        await _write(end)

    async def _left(self, one: Invocation, config: RunnableConfig) -> None:
        """Write down what becomes of a run while the error is on its way that says why.

        With a thread to go on with, it is unfinished, and waits where it has waited; else it has failed.
        """
        try:
            if not self.checkpointer:
                await _write(failed_end(one.run_id, _elapsed_s(one)))
            elif (await self.aget_state(_newest(config))).interrupts:
                one.interrupted()
        except (BoringError, psycopg.Error):
            _log.exception("What became of run %s could not be written down.", one.run_id)

    async def _told(self, one: Invocation, config: RunnableConfig) -> End | None:
        """Return what a call came to; None where it has stopped on its way, at a question or a breakpoint."""
        values: Any = {}
        if one.outcome == "interrupted" and not self.checkpointer:
            return failed_end(one.run_id, _elapsed_s(one))
        if self.checkpointer:
            state = await self.aget_state(_newest(config))
            if state.next:
                return None
            values = state.values
        try:
            return end_of(values, graph=self.name, run_id=one.run_id, elapsed_s=_elapsed_s(one))
        except NoAnswerError as error:
            if self.checkpointer and can_be_asked(self):
                return error.end
            return error.end._replace(answer=_NOTHING_SAID)  # nobody has expected an answer


def recorded(graph: CompiledStateGraph[Any, Any, Any, Any]) -> CompiledStateGraph[Any, Any, Any, Any]:
    """Return the same graph, whose calls are runs on record, as those of an agent of ours are.

    The agents in it are parts of its run and of its trace. That goes for calls by `ainvoke` and `astream`.
    An agent of ours is returned as it is.
    """
    return graph if isinstance(graph, TracedGraph) else RecordedGraph(**graph.__dict__)


@cache
def _say_unrecorded(name: str) -> None:
    _log.warning(
        "The graph %r is recorded, but a graph calls it that is not: it is no run. Record the outermost one.",
        name,
    )


async def _write(end: End) -> None:
    await end_run(await (await current_process()).database(), end.turn, end.answer)


def _elapsed_s(one: Invocation) -> float:
    return time.monotonic() - one.began


def _as_agents_ended(end: End, parts: Sequence[Part]) -> End:
    """Return an end with the status of the agent in the graph whose answer it is."""
    answer, turn = end
    status = next((part.status for part in reversed(parts) if part.text == answer["text"]), answer["status"])
    return End({**answer, "status": cast("StopReason", status)}, turn)


def _newest(config: RunnableConfig) -> RunnableConfig:
    """Return a call's configuration without the checkpoint that it set out from."""
    configured = config.get("configurable", {})
    return {
        **config,
        "configurable": {name: configured[name] for name in configured if name != "checkpoint_id"},
    }


def _question(given: Any) -> str:
    """Return the text of the newest message that a graph is given; empty where there is none."""
    messages = given.get("messages") if isinstance(given, Mapping) else None
    newest = messages[-1] if messages and isinstance(messages, list) else messages
    message = message_of(newest) if newest else None
    return storable_text(message.text) if message else ""
