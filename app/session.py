"""Runs an agent for the command line: the process opened, the agent built, turns run to their end."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from app.documents import bring_up_to_date
from app.downloads import download_bars
from app.events import Ended, Waiting
from app.exits import ANSWERED, WAITING, code_of_status
from app.graphs import GraphPlace, graph_called, opened_graph
from app.input_text import text_read
from app.learning import learn_before_end, learn_until_typed
from app.pending import Request, new_request, strike_off, written_down
from app.questions import Said, answer_to
from app.running import interrupted
from app.screen import PeopleScreen, PipeScreen, Screen
from core.context import RunContext
from core.errors import InputError
from core.loading import load_for_good
from core.models import configured_model
from core.process import Process, opened_process
from core.settings import settings
from memory.runs import RunRow, begin_run, latest_run

if TYPE_CHECKING:
    from graphs.single import Agent


_LIBRARIES = (
    "langsmith.run_trees",
    "langgraph.graph.state",
    "graphs.single",
    "app.turns",
    "memory.checkpoints",
    "memory.indexing",
    "memory.claims",
    "openai",
    "langchain_openai",
)
"""In parts of a fraction of a second, after each of which a command that has failed can end."""


@dataclass(frozen=True, slots=True)
class Session:
    """An opened process with an agent in it."""

    process: Process
    agent: Agent
    console: Console
    as_json: bool
    graph: str | None = None

    def screen(self) -> Screen:
        """Return a screen for one turn."""
        return PipeScreen(self.console) if self.as_json else PeopleScreen(self.console, graph=self.graph)

    @asynccontextmanager
    async def alone(self, thread_id: str) -> AsyncGenerator[None]:
        """Be the only process that works on a thread.

        Raises:
            InputError: another process does.
        """
        from memory.claims import current_claims  # noqa: PLC0415 - loaded with the session

        async with (await current_claims()).held(thread_id):
            yield

    async def turn(
        self, request: Request, *, begin: bool = True, answers: Mapping[str, Any] | None = None
    ) -> Ended | Waiting:
        """Run one turn to its end, or to a question, and show it.

        Args:
            request: what to run.
            begin: False goes on from the checkpoint of a run that was cut off.
            answers: to open questions, by the id of their interrupt.
        """
        context = RunContext(**request.context)  # pyright: ignore[reportArgumentType] - fields by name
        if begin:
            await begin_run(
                await self.process.database(),
                thread_id=request.thread_id,
                run_id=request.run_id,
                graph=self.agent.name,
                question=request.question,
                context=context,
            )
            await asyncio.to_thread(strike_off, self.process.settings.data_dir, request)
        from app.turns import turn_events  # noqa: PLC0415 - loaded with the session

        events = turn_events(
            self.agent,
            request.question if begin else None,
            thread_id=request.thread_id,
            run_id=request.run_id,
            context=context,
            answers=answers,
        )
        return await self.screen().show(events, thread_id=request.thread_id)


@asynccontextmanager
async def opened_session(
    console: Console,
    *,
    as_json: bool,
    graph: str | None = None,
    index: Sequence[Path] = (),
    known: str | None = None,
) -> AsyncGenerator[Session]:
    """Open the database, the model and the knowledge base side by side, and build the agent.

    Args:
        console: where to show what takes long.
        as_json: whether turns are written for a pipe.
        graph: an agent of the user's own; see `app.graphs`.
        index: files and folders to bring the knowledge base up to date with first.
        known: a thread that has to be there; else nothing else is opened.

    Raises:
        InputError: nothing is known of the thread.
    """
    with download_bars(Console(stderr=True)) as progress:
        async with opened_process(settings(), progress=progress) as process:
            if known is not None:
                await _check_known(process, known)
            place = await asyncio.to_thread(graph_called, graph)
            async with asyncio.TaskGroup() as opening:
                # The libraries take seconds to import; the model and the database start meanwhile.
                loading = opening.create_task(load_for_good(*_LIBRARIES), name="load libraries")
                if place.is_ours:
                    opening.create_task(configured_model()(), name="open model")
                opening.create_task(process.database(), name="open database")
                agent = opening.create_task(_agent(loading, place), name="build agent")
                work = bring_up_to_date(index, process, loading, searched=place.is_ours)
                opening.create_task(work, name="index")
            yield Session(process, agent.result(), console, as_json, graph)


async def _agent(loading: asyncio.Task[None], place: GraphPlace) -> Agent:
    await loading
    return await opened_graph(place)


async def answer(request: Request, index: Sequence[Path], *, graph: str | None, as_json: bool) -> int:
    """Run a request and show it; return the exit code."""
    console = Console()
    if not as_json:
        console.print(f"[dim]thread {request.thread_id}[/dim]", highlight=False)
    async with (
        opened_session(console, as_json=as_json, graph=graph, index=index) as session,
        session.alone(request.thread_id),
    ):
        ended = await session.turn(request)
        if not as_json:
            await learn_before_end(console)
    return _code(ended)


async def go_on(thread_id: str, said: Said | None = None, *, graph: str | None, as_json: bool) -> int:
    """Finish the last run of a thread and show it; return the exit code.

    Raises:
        InputError: nothing is known of the thread, or there is nothing to answer.
    """
    async with opened_session(Console(), as_json=as_json, graph=graph, known=thread_id) as session:
        return _code(await finish_last_run(session, thread_id, said))


async def finish_last_run(session: Session, thread_id: str, said: Said | None = None) -> Ended | Waiting:
    """Finish the last run of a thread in a session and show it; return how far it came.

    Raises:
        InputError: nothing is known of the thread, or there is nothing to answer.
    """
    async with session.alone(thread_id):
        database = await session.process.database()
        noted = await asyncio.to_thread(written_down, session.process.settings.data_dir, thread_id)
        row = await latest_run(database, thread_id)
        answers = await _answers(session, thread_id, said) if said is not None else None
        if noted is not None and (row is None or row.run_id != noted.run_id):
            return await session.turn(noted)
        if row is None:
            raise _unknown(thread_id)
        if await _has_begun(session, row):
            return await session.turn(_request(row), begin=False, answers=answers)
        if row.finished_at is not None:
            return await _shown_again(session, row)
        return await session.turn(_request(row))


async def _answers(session: Session, thread_id: str, said: Said) -> dict[str, Any]:
    from app.turns import open_questions  # noqa: PLC0415 - loaded with the session

    questions = await open_questions(session.agent, thread_id)
    return answer_to(questions, said)


def _code(ended: Ended | Waiting) -> int:
    return WAITING if isinstance(ended, Waiting) else code_of_status(ended.answer["status"])


async def _check_known(process: Process, thread_id: str) -> None:
    noted = await asyncio.to_thread(written_down, process.settings.data_dir, thread_id)
    if noted is None and await latest_run(await process.database(), thread_id) is None:
        raise _unknown(thread_id)


def _unknown(thread_id: str) -> InputError:
    return InputError(f"There is no thread {thread_id!r}. `boring threads` lists the ones there are.")


async def _shown_again(session: Session, row: RunRow) -> Ended | Waiting:
    from app.turns import last_turn  # noqa: PLC0415 - loaded with the session

    said = Console(stderr=True)
    said.print(f"[dim]The last run of {row.thread_id} has ended; this is its answer.[/dim]", highlight=False)
    took = ((row.finished_at or row.started_at) - row.started_at).total_seconds()
    shown = last_turn(session.agent, row.thread_id, elapsed_s=took)
    return await session.screen().show(shown, thread_id=row.thread_id)


def talk(thread_id: str, index: Sequence[Path], *, graph: str | None) -> int:
    """Read questions from the terminal and answer them until the user ends it; return the exit code."""
    console = Console()
    console.print(f"[dim]thread {thread_id} · an empty line ends the chat[/dim]", highlight=False)
    with asyncio.Runner() as runner:
        opening = opened_session(console, as_json=False, graph=graph, index=index)
        try:
            session = runner.run(opening.__aenter__())
            try:
                while question := _asked(console, runner):
                    runner.run(_one_turn(session, new_request(question, thread_id, RunContext())))
            finally:
                runner.run(opening.__aexit__(None, None, None))
        except KeyboardInterrupt:
            return interrupted(f"boring resume {thread_id}")
    return ANSWERED


async def _one_turn(session: Session, request: Request) -> None:
    async with session.alone(request.thread_id):
        await session.turn(request)


def _asked(console: Console, runner: asyncio.Runner) -> str:
    console.print("\n[bold]you:[/bold] ", end="")
    runner.run(learn_until_typed())
    try:
        line = console.input()
    except EOFError:
        console.print()
        return ""
    return text_read(line, sys.stdin.encoding).strip()


def _request(row: RunRow) -> Request:
    return Request(row.thread_id, row.run_id, row.question or "", row.context)


async def _has_begun(session: Session, row: RunRow) -> bool:
    """Tell whether the run has left a checkpoint that is not its last: it can go on from there.

    Commands note the run with its checkpoints, from the first one on. A run that a server or a program began
    is told by its turn, and until `receive` has begun that by its input, which waits there.
    """
    from graphs.recorded import RUN_KEY  # noqa: PLC0415 - loaded with the session

    state = await session.agent.aget_state({"configurable": {"thread_id": row.thread_id}})
    noted, turn = (state.metadata or {}).get(RUN_KEY), state.values.get("turn")
    is_of_this_run = noted == row.run_id
    if noted is None:
        waits = "receive" in state.next and row.finished_at is None
        is_of_this_run = waits or (turn is not None and turn["run_id"] == row.run_id)
    return is_of_this_run and (row.finished_at is None or bool(state.next))
