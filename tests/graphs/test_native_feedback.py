"""Feedback on a run that LangSmith's own client has traced names the run by that client's id."""

import json
from pathlib import Path
from typing import Any

import pytest
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from app.rating import rate
from core.process import opened_process
from evals.scripted_model import ScriptedModel
from graphs.single import create_agent
from memory.checkpoints import postgres_checkpointer
from observability.feedback import NewFeedback
from observability.tracing import current_tracing
from tests.trace_places import Place, opened_place
from tests.unit.observability.test_native_langsmith import compressing, parts_of, traced_natively, unpacked

NAMED = "3f9c2a71-b0d4-4e4e-9d3c-6a1f0b8c7d52"


def roots(place: Place) -> list[str]:
    """Return the ids of the runs without a parent that have arrived."""
    found: list[str] = []
    for one in place.requests:
        if one.path == "/runs/multipart":
            for name, part in parts_of(one.headers["content-type"], unpacked(one)).items():
                if name.startswith("post.") and name.count(".") == 1 and not part.get("parent_run_id"):
                    found.append(part["id"])
    return found


@pytest.mark.parametrize("config", [{}, {"run_id": NAMED}])
async def test_feedback_goes_to_the_run_that_was_traced(
    postgres_url: str, tmp_path: Path, config: dict[str, Any]
) -> None:
    async with opened_place() as place, ScriptedModel(["Hello."]) as model:
        settings = traced_natively(place, postgres_url, tmp_path)
        async with opened_process(settings):
            tracing = await current_tracing()
            await compressing()
            llm = ChatOpenAI(base_url=model.base_url, api_key=SecretStr("x"), model="scripted")
            agent = create_agent(llm=llm, checkpointer=await postgres_checkpointer())
            asked: Any = {"messages": [("user", "Hi")]}
            called: Any = {**config, "configurable": {"thread_id": "t"}}
            state = await agent.ainvoke(asked, called)
            await rate("local", NewFeedback(state["turn"]["run_id"], "local", 1.0))
            await tracing.flush()
    told = [json.loads(one.body)["run_id"] for one in place.requests if one.path == "/feedback"]
    assert told == roots(place)
    assert len(told) == 1
