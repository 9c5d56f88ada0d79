"""The steps that `boring ask` and `boring resume` tell are those of this call, and nothing else."""

import json
from typing import Any

import pytest

from tests.unit.app.approval_desk import Desk

SIDE = """
from langgraph.cache.memory import InMemoryCache
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import CachePolicy

from shop import till


def or_end(state):
    return "kept" if sum(message.text == "said" for message in state["messages"]) < 2 else END


side = StateGraph(MessagesState).add_node("till", till).add_node("note", lambda state: {"messages": []})
side.add_node("kept", lambda state: {"messages": []}, cache_policy=CachePolicy(key_func=lambda state: ""))
side.add_node("say", lambda state: {"messages": [("ai", "said")]}).add_conditional_edges("say", or_end)
for first, then in ((START, "till"), (START, "note"), ("till", "kept"), ("kept", "say")):
    side.add_edge(first, then)
side = side.compile(name="side", cache=InMemoryCache())
"""
ENDING = ["till", "kept", "say", "kept", "say"]
"""The second `kept` comes from the graph's cache."""


@pytest.fixture
def side(desk: Desk) -> Desk:
    (desk.folder / "side.py").write_text(SIDE)
    return desk


async def steps(desk: Desk, *words: str, code: int = 0) -> list[str]:
    """Return the steps that a command tells, with the agents that lead to them."""
    out = await desk.boring(*words, "--graph", "side.py:side", "--json", code=code)
    told: list[dict[str, Any]] = json.loads(out)["steps"]
    assert [step for step in told if step.keys() - {"agents"} != {"step", "what", "seconds"}] == []
    return [" > ".join((*step.get("agents", ()), step["step"])) for step in told]


async def test_going_on_tells_no_step_of_the_call_before(side: Desk) -> None:
    before = await steps(side, "ask", "Pay 500", "--thread", "t", code=5)
    assert "note" in before
    after = await steps(side, "resume", "t", "--answer", "approve", "--by", "boss")
    names = ("review", "observe", "execute", "observe", "plan", "respond")
    assert after == [*(f"till > {name}" for name in names), *ENDING]


async def test_a_step_that_a_graph_answers_from_its_cache_is_told_as_any(side: Desk) -> None:
    told = await steps(side, "ask", "Good morning", "--thread", "t")
    of_till = [f"till > {name}" for name in ("receive", "plan", "respond")]
    assert [step for step in told if step != "note"] == [*of_till, *ENDING]
    assert told.count("note") == 1


async def test_people_see_no_step_of_the_call_before(side: Desk) -> None:
    of_graph = ("--graph", "side.py:side")
    assert "• note" in await side.boring("ask", "Pay 500", "--thread", "t", *of_graph, code=5)
    shown = await side.boring("resume", "t", "--answer", "approve", "--by", "boss", *of_graph)
    assert "• till > respond" in shown
    assert "• note" not in shown
    assert "__metadata__" not in shown
