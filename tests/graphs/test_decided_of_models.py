"""What is decided about models: to ask again, to stop asking, to show less. `boring why` tells it."""

from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from core.context import RunContext
from evals.scripted_model import Reply, ToolCall
from graphs.single import create_agent
from guardrails.breaking import THRESHOLD
from observability.story import sentences
from tests.graphs.test_deciding import decided
from tests.graphs.test_fallback import CONFIG, cooled_down, run
from tests.graphs.test_long_conversations import TOO_LONG, say_many, sized
from tools.contract import Retry, contract

NOT_SHOWN = "a: In step 1 the model was not shown all of the conversation"


async def told(state: Any, *kinds: str) -> list[str]:
    return sentences(
        [one for one in await decided(state) if one.kind in kinds or one.kind in {"retry", "breaker"}]
    )


async def test_another_attempt_at_a_model_is_told(saver: Any, speaking: Any) -> None:
    llm = await speaking([Reply(status=503), Reply(status=429), "Here."])
    state = await run(create_agent(llm=llm, checkpointer=saver, name="a"))
    assert await told(state, "plan") == [
        "a: In step 1 scripted was asked again: attempt 1 of 3 failed: scripted: HTTP 503.",
        "a: In step 1 scripted was asked again: attempt 2 of 3 failed: scripted: HTTP 429.",
        "a: In step 1 scripted answered.",
    ]


async def test_the_last_attempt_is_not_followed_by_another(saver: Any, speaking: Any) -> None:
    llm = await speaking([Reply(status=429)] * 3)
    state = await run(create_agent(llm=llm, checkpointer=saver))
    assert state["answer"]["status"] == "failed"
    assert len(await told(state)) == 2


async def test_a_line_of_models_that_is_gone_down_again_says_why_each_failed(
    saver: Any, speaking: Any
) -> None:
    first, second = await speaking([Reply(status=500), "Back."]), await speaking([Reply(status=429)])
    state = await run(create_agent(llm=first, fallbacks=[second], checkpointer=saver, name="a"))
    (one,) = await told(state)
    why = "attempt 1 of 3 failed: scripted: HTTP 500; scripted#2: HTTP 429."
    assert one == f"a: In step 1 scripted was asked again: {why}"


async def test_the_run_that_opens_the_breaker_of_a_model_tells_it_and_so_does_the_one_that_closes_it(
    process: Any, saver: Any, speaking: Any
) -> None:
    first = await speaking([*[Reply(status=500)] * THRESHOLD, "Well again."])
    agent = create_agent(llm=first, fallbacks=[await speaking(["Yes."] * 9)], checkpointer=saver)
    states = [await run(agent) for _ in range(THRESHOLD + 1)]
    *before, opening, after = [await told(state) for state in states]
    assert (before, after) == ([[]] * (THRESHOLD - 1), [])
    (one,) = opening
    assert "The circuit breaker of the model scripted at 127.0.0.1:" in one
    assert one.endswith(" opened for 10 s: 5 failures in a row, the last one HTTP 500.")
    await cooled_down(process)
    (one,) = await told(await run(agent))
    assert one.endswith(" closed: the call it let through went well.")


async def test_the_run_that_opens_the_breaker_of_a_tool_tells_it_by_its_step(
    saver: Any, speaking: Any
) -> None:
    async def look(at: int) -> str:
        """Look."""
        raise ConnectionRefusedError(at)

    calls = [Reply(tool_calls=(ToolCall("look", {"at": at}),)) for at in range(THRESHOLD)]
    tool = contract(look, effect="read", retry=Retry(max_attempts=1))
    agent = create_agent(llm=await speaking([*calls, "No."]), tools=[tool], checkpointer=saver)
    rows = [one for one in await decided(await run(agent)) if one.kind == "breaker"]
    assert [(one.choice, one.step, one.decided_by) for one in rows] == [("tool:look", THRESHOLD, "rule")]
    assert rows[0].reason == "opened for 10 s: 5 failures in a row, the last one ConnectionRefusedError"
    assert rows[0].span_id is not None


async def test_what_a_model_is_not_shown_of_a_conversation_is_told(saver: Any, speaking: Any) -> None:
    chat = await speaking([*["Noted."] * 3, Reply(status=500), "Noted.", Reply(status=500), "I go on."])
    agent = create_agent(llm=sized(chat, 1200), checkpointer=saver, name="a")
    (one,) = await told(await say_many(agent, 5), "trimmed")
    assert one == f"{NOT_SHOWN}, for the room that scripted has: 2 messages left out."


async def test_a_request_that_was_too_long_is_told_with_what_it_was_cut_to(saver: Any, speaking: Any) -> None:
    chat = await speaking([*["Noted."] * 3, Reply(status=400, text=TOO_LONG), "Now it fits."])
    agent = create_agent(llm=sized(chat, 2400), checkpointer=saver, name="a")
    (one,) = await told(await say_many(agent, 4), "trimmed")
    assert one == f"{NOT_SHOWN}, since it was too long for scripted: 4 messages left out."


async def test_models_that_all_fail_for_good_are_told_with_why(saver: Any, speaking: Any) -> None:
    first, second = await speaking([Reply(status=404)]), await speaking([Reply(status=401)])
    state = await run(create_agent(llm=first, fallbacks=[second], checkpointer=saver, name="a"))
    assert state["answer"]["status"] == "failed"
    (one,) = await told(state, "fallback")
    assert one.startswith("a: In step 1 no model answered: scripted: HTTP 404")
    assert "scripted#2: HTTP 401" in one


async def test_a_line_of_models_that_runs_out_of_time_is_told(saver: Any, speaking: Any) -> None:
    first, second = await speaking([Reply(status=404)]), await speaking([Reply(text="late", delay_s=30)])
    agent = create_agent(llm=first, fallbacks=[second], checkpointer=saver, name="a")
    state = await agent.ainvoke({"messages": [HumanMessage("Hi")]}, CONFIG, context=RunContext(max_time_s=1))
    assert state["answer"]["status"] == "deadline"
    (one,) = await told(state, "fallback")
    assert one.startswith("a: In step 1 no model answered: scripted: HTTP 404")
    assert one.endswith("; scripted#2: no answer in time.")


async def test_of_a_line_it_counts_what_the_model_was_shown_that_planned(saver: Any, speaking: Any) -> None:
    small = await speaking([*["Noted."] * 3, *[Reply(status=500)] * 3])
    agent = create_agent(
        llm=sized(small, 1200), fallbacks=[await speaking(["I go on."] * 5)], checkpointer=saver, name="a"
    )
    state = await say_many(agent, 5)
    assert state["answer"]["text"] == "I go on."
    assert [one for one in await told(state, "trimmed") if "not shown" in one] == []


async def test_another_attempt_at_a_call_is_told_with_why(saver: Any, speaking: Any) -> None:
    failing = [TimeoutError(), ConnectionRefusedError()]

    async def look() -> str:
        """Look."""
        if failing:
            raise failing.pop(0)
        return "nothing"

    tool = contract(look, effect="read", retry=Retry(max_attempts=3, base_s=0.01))
    llm = await speaking([Reply(tool_calls=(ToolCall("look"),)), "Nothing."])
    state = await run(create_agent(llm=llm, tools=[tool], checkpointer=saver, name="a"))
    why = "attempt 1 failed: TimeoutError; attempt 2 failed: ConnectionRefusedError"
    assert await told(state, "tool") == [
        f"a: The call of look was tried again: {why}.",
        "a: The tool look was run: it went well.",
    ]


@pytest.mark.parametrize("tokens", [3_000_000_000, 10**20, -5])
async def test_tokens_that_can_not_be_are_not_believed(saver: Any, speaking: Any, tokens: int) -> None:
    llm = await speaking([Reply(text="Fine.", prompt_tokens=tokens), "Again."])
    agent = create_agent(llm=llm, checkpointer=saver)
    state = await run(agent)
    assert (state["answer"]["text"], state["answer"]["status"]) == ("Fine.", "answered")
    assert 0 < state["turn"]["input_tokens"] < 10_000
    assert (await run(agent))["answer"]["text"] == "Again."
