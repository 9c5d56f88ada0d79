"""A graph of a user's own is asked like ours: its last message is the answer, or none is said to be there."""

import io
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from rich.console import Console

from app.graphs import graph_called, opened_graph
from app.pending import new_request
from app.session import Session, finish_last_run
from core.context import RunContext
from core.errors import InputError
from core.process import Process, opened_process
from core.settings import Settings
from graphs.ends import NoAnswerError
from memory.runs import latest_run

OWN = """
from typing import TypedDict
from langchain_core.messages import AIMessage
from typing import Any
from langgraph.config import get_stream_writer
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import interrupt

class Told(MessagesState):
    answer: Any
    turn: Any
    stop: Any

class Number(TypedDict):
    number: int

class Plain(TypedDict):
    messages: list

used = {"input_tokens": 5, "output_tokens": 2, "total_tokens": 7}

def built(state, step, name):
    return StateGraph(state).add_node("step", step).add_edge(START, "step").compile(name=name)

def say(state):
    return {"messages": AIMessage("It is " + state["messages"][-1].text, usage_metadata=used)}

say_it = built(MessagesState, say, "say_it")
in_answer = built(Told, lambda state: {"answer": "It is told.", "stop": True}, "in_answer")
mute = built(MessagesState, lambda state: {}, "mute")
without_words = built(MessagesState, lambda state: {"messages": [AIMessage("")]}, "without_words")
of_anything = built(dict, lambda state: {"found": 7}, "of_anything")
asking = built(MessagesState, lambda state: {"messages": [AIMessage(interrupt("Which?"))]}, "asking")

def says_how_far(state):
    for told in ("half way", 5, ["all of it"]):
        get_stream_writer()(told)
    return {"messages": [AIMessage("hi")]}

far = built(MessagesState, says_how_far, "far")
hi = {"messages": [AIMessage("hi")]}
other_stop = built(Told, lambda state: {"stop": {"at": 12}, **hi}, "other_stop")
other_end = built(Told, lambda state: {"answer": {"total": 1}, "turn": {"n": 2}, **hi}, "other_end")

def asks(question):
    return lambda state: {"turn": {"n": 1}, "messages": [AIMessage(interrupt(question))]}

other_approval = built(Told, asks({"kind": "approval", "what": "pay"}), "other_approval")
other_doubt = built(Told, asks({"kind": "in_doubt", "what": "pay"}), "other_doubt")
noted = built(Told, lambda state: {"turn": {"n": 1}}, "noted")
other_turn = StateGraph(Told).add_node("note", noted).add_node("ask", asks("Which?"))
other_turn = other_turn.add_edge(START, "note").add_edge("note", "ask").compile(name="other_turn")
said = {"messages": [{"role": "assistant", "content": "As a dict."}]}
as_dict = built(Plain, lambda state: said, "as_dict")
listed = built(list, lambda state: ["hi"], "listed")
number = built(Number, lambda state: {"number": 1}, "number")
"""


@pytest.fixture
async def process(
    postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Process]:
    (tmp_path / "own.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [*sys.path])  # importing a file adds its folder
    settings = Settings(database_url=SecretStr(postgres_url), data_dir=tmp_path, cache_dir=tmp_path)
    async with opened_process(settings) as process:
        yield process


class Asked:
    """A thread of a graph in `own.py`, and what it wrote."""

    def __init__(self, process: Process, name: str) -> None:
        self.process, self.name, self.out = process, name, io.StringIO()

    async def session(self) -> Session:
        graph = await opened_graph(graph_called(f"own.py:{self.name}"))
        return Session(self.process, graph, Console(file=self.out), as_json=True)

    async def ask(self, question: str = "42") -> None:
        await (await self.session()).turn(new_request(question, self.name, RunContext()))

    async def resume(self) -> None:
        await finish_last_run(await self.session(), self.name)

    def told(self) -> dict[str, Any]:
        written = self.out.getvalue().splitlines()[-1]
        return {name: held for name, held in json.loads(written).items() if name not in {"steps", "seconds"}}

    async def status(self) -> tuple[str, str | None]:
        row = await latest_run(await self.process.database(), self.name)
        assert row
        return row.status, row.reason


@pytest.mark.parametrize(
    ("name", "answer", "tokens"),
    [
        ("say_it", "It is 42", (5, 2)),
        ("in_answer", "It is told.", (0, 0)),
        ("as_dict", "As a dict.", (0, 0)),
    ],
)
async def test_the_last_message_or_a_text_is_the_answer_and_ends_the_run(
    process: Process, name: str, answer: str, tokens: tuple[int, int]
) -> None:
    asked = Asked(process, name)
    for question in ("41", "42"):
        await asked.ask(question)
    told = asked.told()
    assert (told["status"], told["answer"], told["sources"]) == ("answered", answer, [])
    assert (told["input_tokens"], told["output_tokens"]) == tokens
    assert await asked.status() == ("finished", "answered")
    await asked.resume()
    assert asked.told() == told


async def test_a_run_that_was_killed_before_its_end_was_noted_is_ended_by_resuming_it(
    process: Process,
) -> None:
    asked = Asked(process, "say_it")
    await asked.ask()
    told = asked.told()
    async with (await process.database()).pool.connection() as connection:
        await connection.execute(
            "update boring.run set status = 'running', finished_at = null, reason = null"
        )
    await asked.resume()
    assert (asked.told(), await asked.status()) == (told, ("finished", "answered"))


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("mute", "the last of its `messages` is the question"),
        ("without_words", "the last of its `messages` is without text"),
        ("of_anything", "it holds `found`, and no messages"),
    ],
)
async def test_a_state_that_tells_no_answer_is_said_so_with_what_to_do(
    process: Process, name: str, why: str
) -> None:
    asked = Asked(process, name)
    with pytest.raises(NoAnswerError, match=f"The graph '{name}' has ended.* {why}. Have it end with"):
        await asked.ask()
    assert await asked.status() == ("failed", "failed")
    with pytest.raises(NoAnswerError, match=why):
        await asked.resume()


async def test_a_question_of_a_graph_of_a_user_s_own_is_shown(process: Process) -> None:
    asked = Asked(process, "asking")
    await asked.ask()
    told = asked.told()
    row = await latest_run(await process.database(), "asking")
    assert row
    assert (told["status"], told["run"]) == ("waiting", row.run_id)
    assert [one["question"] for one in told["questions"]] == ["Which?"]
    assert row.status == "interrupted"


@pytest.mark.parametrize("name", ["far", "other_stop", "other_end"])
async def test_what_has_the_names_of_ours_and_another_form_ends_no_run_early(
    process: Process, name: str
) -> None:
    asked = Asked(process, name)
    await asked.ask()
    assert asked.told()["answer"] == "hi"
    assert await asked.status() == ("finished", "answered")


@pytest.mark.parametrize("name", ["other_approval", "other_doubt", "other_turn"])
async def test_a_question_that_only_looks_like_ours_is_shown_as_it_is(process: Process, name: str) -> None:
    asked = Asked(process, name)
    await asked.ask()
    told = asked.told()
    assert (told["status"], [one["kind"] for one in told["questions"]]) == ("waiting", ["other"])
    assert await asked.status() == ("interrupted", None)


@pytest.mark.parametrize(("name", "has"), [("number", "number"), ("listed", "one value that is no dict")])
async def test_a_graph_that_takes_no_messages_is_refused_before_it_is_asked(
    process: Process, name: str, has: str
) -> None:
    with pytest.raises(InputError, match=rf"has no `messages`.* It has {has}\. Give its state"):
        await Asked(process, name).ask()
    assert await latest_run(await process.database(), name) is None
