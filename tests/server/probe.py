"""A graph that tells what holds inside the server: where our packages are, whether blocking is noticed."""

import importlib
import time
from typing import Any

from langgraph.graph import START, StateGraph
from typing_extensions import TypedDict


class Question(TypedDict):
    packages: list[str]
    files: dict[str, Any]
    nap: bool


async def look(state: Question) -> dict[str, Any]:
    if state.get("nap"):
        time.sleep(0.01)  # noqa: ASYNC251 - what the server has to notice
    return {"files": {name: importlib.import_module(name).__file__ for name in state["packages"]}}


graph = StateGraph(Question).add_node("look", look).add_edge(START, "look").compile()
