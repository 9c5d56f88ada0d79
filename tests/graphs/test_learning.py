"""Turns are learnt from after their answers: once, off the answer's path, on the run's account."""

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from core.context import RunContext
from core.models import given_fallbacks
from core.process import Process, current_process
from core.worker import current_worker
from evals.scripted_model import Reply, ToolCall
from graphs.hierarchy import Team, create_hierarchy
from graphs.single import create_agent, model_source
from memory.checkpoints import postgres_checkpointer
from memory.extractions import Wanted
from memory.facts import history, remember
from memory.items import Origin
from memory.runs import latest_run
from memory.store_uses import uses
from nodes.learning import Mind, learn_next
from nodes.remembering import MemoryPolicy
from observability.run_search import runs_found
from observability.trace_log import WantedRuns
from observability.tracing import current_tracing
from tests.graphs.remembering import ADA, gives, learnt, remembering, rows, turn

OF_ADA = Origin("acme", "ada", trusted=True)
DRINK = (1, "favourite drink", "The user likes green tea.")


@pytest.fixture
async def process(postgres_url: str, tmp_path: Path) -> AsyncIterator[Process]:
    async with remembering(postgres_url, tmp_path) as opened:
        yield opened


def mind_of(llm: Any, graph: str = "") -> Mind:
    return Mind(graph, model_source(llm), given_fallbacks())


async def facts(origin: Origin = OF_ADA) -> list[tuple[str, str, bool]]:
    found = await rows(
        "select key, value ->> 'text' as text, trusted from boring.memory_item"
        " where valid_to is null and tenant = %s and user_id = %s order by key",
        origin.tenant,
        origin.user,
    )
    return [(row["key"], row["text"], row["trusted"]) for row in found]


async def test_what_a_user_says_is_known_after_the_turn_and_paid_by_its_run(
    saver: Any, speaking: Any
) -> None:
    llm = await speaking([Reply(text="Noted!", prompt_tokens=7, completion_tokens=3), gives(DRINK)])
    agent = create_agent(llm=llm, checkpointer=saver, memory=True)
    result = await turn(agent, "By the way, I like green tea.")
    assert (result["turn"]["input_tokens"], result["turn"]["output_tokens"]) == (7, 3)
    await learnt()
    assert await facts() == [("favourite drink", "The user likes green tea.", True)]
    (fact,) = await history("favourite drink", origin=OF_ADA)
    assert (fact.origin.thread_id, fact.origin.run_id) == ("t", result["turn"]["run_id"])
    assert fact.origin.message_id == result["messages"][0].id
    run = await latest_run(await (await current_process()).database(), "t")
    assert run is not None
    assert (run.input_tokens, run.output_tokens) == (107, 13)
    (row,) = await rows("select * from boring.extraction")
    assert (row["state"], row["learnt"], row["input_tokens"], row["output_tokens"]) == ("done", 1, 100, 10)
    assert (row["messages"], row["worker"]) == ([], None)


async def test_what_learning_asks_of_a_model_is_in_the_trace_and_the_costs_of_the_run(
    saver: Any, speaking: Any, process: Process
) -> None:
    llm = await speaking([Reply(text="Noted!", prompt_tokens=7, completion_tokens=3), gives(DRINK)])
    result = await turn(create_agent(llm=llm, checkpointer=saver, memory=True), "I like green tea.")
    await learnt()
    await (await current_tracing()).flush()
    spans = await rows("select * from boring.span where run_id = %s", result["turn"]["run_id"])
    by_id = {one["span_id"]: one for one in spans}
    (first,) = [one for one in spans if one["parent_id"] is None]
    (learning,) = [one for one in spans if one["step"] == "learn"]
    (asked,) = [one for one in spans if one["parent_id"] == learning["span_id"]]
    assert (by_id[learning["parent_id"]], {one["trace_id"] for one in spans}) == (first, {first["trace_id"]})
    assert (asked["operation"], asked["input_tokens"], asked["tenant"], asked["user_id"]) == (
        "chat",
        100,
        "acme",
        "ada",
    )
    (run,) = await runs_found(await process.database(), WantedRuns(), limit=2)
    assert (run.model_calls, run.input_tokens, run.output_tokens) == (2, 107, 13)


async def test_the_stream_of_an_answer_shows_nothing_of_what_is_learnt(saver: Any, speaking: Any) -> None:
    llm = await speaking(["Your answer.", gives(DRINK)])
    agent = create_agent(llm=llm, checkpointer=saver, memory=True)
    asked: Any = {"messages": [HumanMessage("I like green tea.")]}
    config: Any = {"configurable": {"thread_id": "t"}}
    seen: list[Any] = []
    modes: Any = ["messages", "custom", "updates", "tasks", "debug"]
    stream: Any = agent.astream(asked, config, context=ADA, stream_mode=modes)
    async for mode, data in stream:
        seen += [data[0].text] if mode == "messages" else [str(data)] if mode == "custom" else []
        await learnt() if "respond" in str(data) else None  # learnt before the stream has ended
    assert "".join(seen) == "Your answer."
    assert len(await facts()) == 1


async def test_an_answer_waits_for_no_learning_and_the_next_process_learns_what_was_left(
    postgres_url: str, tmp_path: Path, speaking: Any
) -> None:
    llm = await speaking(["Your answer.", Reply(delay_s=3600)])
    async with remembering(postgres_url, tmp_path):
        agent = create_agent(llm=llm, checkpointer=await postgres_checkpointer(), memory=True)
        result = await turn(agent, "I like green tea.")
        assert result["answer"]["text"] == "Your answer."
    async with remembering(postgres_url, tmp_path):
        (row,) = await rows("select state, attempts, worker from boring.extraction")
        assert row == {"state": "waiting", "attempts": 0, "worker": None}
        found = await learn_next(mind_of(await speaking([gives(DRINK)]), "single"), Wanted("single"))
        assert found is not None
        assert found.facts == (DRINK[2],)


async def test_an_agent_without_memory_learns_nothing(saver: Any, speaking: Any) -> None:
    llm = await speaking(["Hello."])
    await turn(create_agent(llm=llm, checkpointer=saver), "I like green tea.")
    await turn(
        create_agent(llm=await speaking(["Hi."]), checkpointer=saver, memory=MemoryPolicy(learn=False)),
        "I like green tea.",
    )
    await turn(create_agent(llm=await speaking(["Hi."]), checkpointer=saver, memory=None), "I like tea.")
    assert await rows("select * from boring.extraction") == []


async def test_a_turn_without_an_answer_is_not_learnt_from(saver: Any, speaking: Any) -> None:
    again = Reply(tool_calls=(ToolCall("nope", {}),))
    agent = create_agent(llm=await speaking([again] * 9), checkpointer=saver, memory=True)
    await turn(agent, "I like green tea.", context=RunContext(max_steps=1))
    assert await rows("select * from boring.extraction") == []


async def test_two_workers_on_the_queue_learn_once(saver: Any, speaking: Any) -> None:
    llm = await speaking(["Noted."])
    await turn(create_agent(llm=llm, checkpointer=saver, memory=True), "I like green tea.")
    await learnt()  # fails: the script is at its end
    await rows("update boring.extraction set due_at = now(), attempts = 0 returning run_id")
    extracting = await speaking([gives(DRINK), gives(DRINK)])
    mind = mind_of(extracting)
    async with asyncio.TaskGroup() as group:
        both = [group.create_task(learn_next(mind, Wanted())) for _ in range(2)]
    learned = [task.result() for task in both]
    assert sorted(one.facts for one in learned if one is not None and one.error is None) == [(DRINK[2],)]
    assert (await rows("select learnt, input_tokens from boring.extraction"))[0] == {
        "learnt": 1,
        "input_tokens": 100,
    }
    assert await learn_next(mind, Wanted()) is None


@pytest.mark.parametrize(
    "bad",
    [
        Reply(status=400, text="no"),
        Reply(text="no facts here", prompt_tokens=5, completion_tokens=1),
        Reply(tool_calls=(ToolCall("Other"),), prompt_tokens=15, completion_tokens=1),
    ],
)
async def test_a_failure_is_on_record_and_the_turn_is_tried_again_and_given_up(
    saver: Any, speaking: Any, bad: Reply, caplog: pytest.LogCaptureFixture
) -> None:
    llm = await speaking(["Noted.", *[bad] * 20])
    with caplog.at_level(logging.ERROR):
        await turn(create_agent(llm=llm, checkpointer=saver, memory=True, name="a"), "I like green tea.")
        await learnt()
        mind = mind_of(llm, "a")
        for attempts in (1, 2, 3):
            (row,) = await rows("select state, attempts, last_error from boring.extraction")
            assert (row["attempts"], row["state"]) == (attempts, "failed" if attempts == 3 else "waiting")
            assert row["last_error"]
            assert "JSONDecodeError" not in row["last_error"]
            await rows("update boring.extraction set due_at = now() returning run_id")
            await learn_next(mind, Wanted())
    assert await learn_next(mind, Wanted()) is None
    (row,) = await rows("select input_tokens from boring.run")
    assert row["input_tokens"] > (0 if bad.status == 400 else 3 * 3 * 5 - 1)


async def test_a_turn_whose_worker_died_each_time_is_given_up_and_says_so(
    saver: Any, speaking: Any, caplog: pytest.LogCaptureFixture
) -> None:
    llm = await speaking(["Noted.", Reply(status=400, text="no")])
    await turn(create_agent(llm=llm, checkpointer=saver, memory=True), "I like green tea.")
    await learnt()
    mind = mind_of(await speaking([Reply(status=400, text="no"), gives(DRINK)]))
    await rows("update boring.extraction set worker = 'gone', attempts = 2, due_at = now() returning run_id")
    again = await learn_next(mind, Wanted())
    assert again is not None
    assert again.error is not None  # a worker that died twice: the third attempt is the last
    await rows(
        "update boring.extraction set worker = 'gone', attempts = 3, state = 'waiting', due_at = now(),"
        " last_error = null returning run_id"
    )
    assert await learn_next(mind, Wanted()) is None
    (row,) = await rows("select run_id, state, attempts, worker, last_error from boring.extraction")
    assert (row["state"], row["attempts"], row["worker"]) == ("failed", 3, None)
    assert "ended while it learnt" in row["last_error"]
    assert f"The run {row['run_id']} is not learnt from: " in caplog.text
    found = await learn_next(mind, Wanted(failed=True))
    assert found is not None
    assert found.facts == (DRINK[2],)


async def test_the_last_attempt_of_a_worker_that_lives_is_left_to_it(saver: Any, speaking: Any) -> None:
    llm = await speaking(["Noted.", Reply(status=400, text="no")])
    await turn(create_agent(llm=llm, checkpointer=saver, memory=True), "I like green tea.")
    await learnt()
    mind, worker = mind_of(await speaking([])), (await current_worker()).id
    await rows(
        "update boring.extraction set worker = %s, attempts = 3, due_at = now() returning run_id", worker
    )
    assert await learn_next(mind, Wanted()) is None
    assert await rows("select state, worker from boring.extraction") == [
        {"state": "waiting", "worker": worker}
    ]


async def test_what_was_given_up_can_be_learnt_by_another_model(saver: Any, speaking: Any) -> None:
    llm = await speaking(["Noted.", Reply(status=400, text="no")])
    await turn(create_agent(llm=llm, checkpointer=saver, memory=True), "I like green tea.")
    await learnt()
    await rows("update boring.extraction set state = 'failed', attempts = 3 returning run_id")
    mind = mind_of(await speaking([gives(DRINK)]))
    assert await learn_next(mind, Wanted(tenant="acme")) is None
    assert await learn_next(mind, Wanted(tenant="other", failed=True)) is None
    found = await learn_next(mind, Wanted(tenant="acme", failed=True))
    assert found is not None
    assert found.facts == (DRINK[2],)


async def test_a_new_fact_supersedes_the_one_under_the_subject_that_the_model_is_shown(
    saver: Any, speaking: Any
) -> None:
    await remember("The user likes coffee.", subject="favourite drink", origin=OF_ADA)
    new = (1, "The user's favourite_drink", "The user likes green tea.")
    llm = await speaking(["Noted.", gives(new)])
    await turn(create_agent(llm=llm, checkpointer=saver, memory=True), "I like green tea now, no coffee.")
    await learnt()
    shown = llm.metadata["scripted"].requests[1]["messages"][-1]["content"]
    assert "Known about favourite drink: The user likes coffee." in shown
    await (await uses()).write()
    old, now = await history("favourite drink", origin=OF_ADA)
    assert (old.superseded_by, now.value["text"], old.uses) == (now.id, "The user likes green tea.", 1)


async def test_the_same_words_under_another_subject_make_no_new_row(saver: Any, speaking: Any) -> None:
    await remember("The user likes green tea.", subject="favourite drink", origin=OF_ADA)
    llm = await speaking(["Noted.", gives((1, "tea", "the user  likes green tea"))])
    await turn(create_agent(llm=llm, checkpointer=saver, memory=True), "I said that I like green tea!")
    await learnt()
    assert await facts() == [("favourite drink", "The user likes green tea.", True)]
    assert (await rows("select learnt from boring.extraction"))[0]["learnt"] == 0


async def test_a_user_confirms_what_only_a_document_had_said(saver: Any, speaking: Any) -> None:
    doubtful = Origin("acme", "ada")
    await remember("The user likes green tea.", subject="drinks", origin=doubtful)
    llm = await speaking(["Noted.", gives(DRINK)])
    await turn(create_agent(llm=llm, checkpointer=saver, memory=True), "Yes, I like green tea.")
    await learnt()
    assert await facts() == [("drinks", "The user likes green tea.", True)]


async def test_what_a_document_says_under_another_subject_blocks_no_correction(
    saver: Any, speaking: Any
) -> None:
    await remember("The user likes green tea.", subject="drinks", origin=Origin("acme", "ada"))
    await remember("The user likes coffee.", subject="favourite drink", origin=OF_ADA)
    llm = await speaking(["Noted.", gives(DRINK)])
    await turn(create_agent(llm=llm, checkpointer=saver, memory=True), "I like green tea now.")
    await learnt()
    held = await facts()
    assert ("favourite drink", "The user likes green tea.", True) in held
    assert not any("coffee" in text for _, text, _ in held)


async def test_only_the_agent_that_was_asked_learns(saver: Any, speaking: Any) -> None:
    task = Reply(tool_calls=(ToolCall("team", {"task": "one", "goal": "Say hello"}),))
    llm = await speaking([task, "Done.", gives(DRINK)])
    inner = await speaking(["Hello."])
    team = Team("team", "greets", create_agent(llm=inner, name="inner", memory=True))
    supervisor = create_hierarchy(llm=llm, teams=[team], checkpointer=saver, memory=True)
    await turn(supervisor, "I like green tea. Say hello.")
    await learnt()
    assert [row["graph"] for row in await rows("select graph from boring.extraction")] == ["hierarchy"]
    assert len(inner.metadata["scripted"].requests) == 1
    assert await facts() == [("favourite drink", "The user likes green tea.", True)]


async def test_an_agent_in_a_tool_learns_nothing_from_the_words_of_the_agent_that_calls_it(
    saver: Any, speaking: Any
) -> None:
    llm = await speaking(
        [Reply(tool_calls=(ToolCall("ask", {"what": "I like coffee."}),)), "Done.", gives(DRINK)]
    )
    inner = create_agent(llm=await speaking(["Hello."]), name="inner", memory=True)

    async def ask(what: str) -> str:
        """Ask somebody."""
        return (await inner.ainvoke({"messages": [HumanMessage(what)]}))["answer"]["text"]

    outer = create_agent(llm=llm, tools=[ask], name="outer", checkpointer=saver, memory=True)
    await turn(outer, "I like green tea.")
    await learnt()
    assert [row["graph"] for row in await rows("select graph from boring.extraction")] == ["outer"]
    assert await facts() == [("favourite drink", "The user likes green tea.", True)]


async def test_secrets_and_what_nobody_said_are_not_kept(saver: Any, speaking: Any) -> None:
    given = gives(
        (1, "password", "The user's password is hunter2."),
        (1, "card", "The user pays by 4111 1111 1111 1111."),
        (1, "home town", "The user lives in Paris."),
        DRINK,
    )
    llm = await speaking(["Noted.", given])
    said = "My password is hunter2, my card is 4111 1111 1111 1111, and I like green tea."
    await turn(create_agent(llm=llm, checkpointer=saver, memory=True), said)
    await learnt()
    assert await facts() == [("favourite drink", "The user likes green tea.", True)]
