"""Conversations that outgrow a model: what it is shown, what is summed up, what it can open again."""

import json
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage

from core.context import RunContext
from core.protocols import Model, ModelProfile, ModelSource
from evals.scripted_model import Reply, ToolCall
from graphs.single import create_agent

CONFIG: Any = {"configurable": {"thread_id": "long"}}
TOO_LONG = "This model's maximum context length is 800 tokens."


def sized(chat: Any, context_tokens: int, *, plans_by: str = "tools") -> ModelSource:
    profile = ModelProfile("scripted", plans_by=plans_by, context_tokens=context_tokens, max_tokens=100)
    model = Model(profile=profile, chat=chat)

    async def source() -> Model:
        return model

    return source


def requests(chat: Any) -> list[Any]:
    return chat.metadata["scripted"].requests


async def say(agent: Any, text: str) -> Any:
    return await agent.ainvoke({"messages": [HumanMessage(text)]}, CONFIG)


async def say_many(agent: Any, many: int) -> Any:
    """Say long things, turn after turn; return the last result."""
    for number in range(many - 1):
        await say(agent, long(f"Thing {number}."))
    return await say(agent, long(f"Thing {many - 1}."))


def long(text: str) -> str:
    return f"{text} " + "and so on " * 64


async def test_older_turns_are_folded_into_a_summary_that_says_what_it_covers(
    saver: Any, speaking: Any
) -> None:
    chat = await speaking([*["Noted."] * 5, "Ada told long things.", "As I said."])
    agent = create_agent(llm=sized(chat, 1600), checkpointer=saver)
    result = await say_many(agent, 6)
    summary, stored = result["summary"], result["messages"]
    assert summary["text"] == "Ada told long things."
    assert (summary["first"], summary["messages"]) == (stored[0].id, 8)
    assert summary["last"] == stored[7].id
    assert len(stored) == 12
    shown = requests(chat)[-1]["messages"]
    assert shown[0]["role"] == "system"
    assert "Ada told long things." in shown[0]["content"]
    assert shown[1]["content"].startswith("Thing 4.")
    asked = requests(chat)[-2]["messages"][-1]["content"]
    assert "User: Thing 0." in asked
    assert "Thing 4." not in asked
    answering = result["messages"][-1].usage_metadata["input_tokens"]
    assert result["turn"]["input_tokens"] > answering  # the summary is on the turn's account


async def test_a_summary_goes_on_from_the_one_before(saver: Any, speaking: Any) -> None:
    def speak(request: Any) -> str:
        summing = "You keep the summary" in str(request["messages"][0]["content"])
        return f"Summary {len(request['messages'])}." if summing else "Noted."

    chat = await speaking([speak] * 60)
    agent = create_agent(llm=sized(chat, 1600), checkpointer=saver)
    result = await say_many(agent, 16)
    asked = [one["messages"][-1]["content"] for one in requests(chat) if "new summary" in str(one)]
    assert len(asked) > 1
    assert asked[1].startswith("The summary so far:\nSummary 2.")
    assert result["summary"]["first"] == result["messages"][0].id
    place = [one.id for one in result["messages"]].index(result["summary"]["last"])
    assert result["summary"]["messages"] == place + 1


async def test_with_a_long_system_prompt_no_turn_is_left_out_without_a_summary(
    saver: Any, speaking: Any
) -> None:
    def speak(request: Any) -> str:
        return "Summed up." if "You keep the summary" in str(request["messages"][0]["content"]) else "Noted."

    chat = await speaking([speak] * 60)
    words = "You are careful. " * 240
    agent = create_agent(llm=sized(chat, 2000), checkpointer=saver, system_prompt=words)
    for number in range(8):
        result = await say(agent, long(f"Thing {number}."))
        covered = result["summary"]["messages"] if result.get("summary") else 0
        shown = [one for one in requests(chat)[-1]["messages"] if one["role"] != "system"]
        assert covered + len(shown) + 1 == len(result["messages"])  # what the model just said is not shown


@pytest.mark.parametrize("context", [RunContext(max_tokens=900), RunContext(max_time_s=2)])
async def test_a_summary_takes_no_more_than_the_turn_has(saver: Any, speaking: Any, context: Any) -> None:
    def speak(request: Any) -> Reply | str:
        summing = "You keep the summary" in str(request["messages"][0]["content"])
        return Reply(text="Too late.", delay_s=30) if summing else "Noted."

    chat = await speaking([speak] * 20)
    agent = create_agent(llm=sized(chat, 1600), checkpointer=saver)
    await say_many(agent, 5)
    result = await agent.ainvoke({"messages": [HumanMessage(long("Last."))]}, CONFIG, context=context)
    assert result["answer"]["text"] == "Noted."
    if context.max_tokens == 900:
        assert "Thing 0." in result["summary"]["text"]
    else:
        assert result.get("summary") is None
        assert result["turn"]["elapsed_s"] >= 1


async def test_a_model_that_can_not_sum_up_ends_no_turn(saver: Any, speaking: Any, caplog: Any) -> None:
    chat = await speaking([*["Noted."] * 3, Reply(status=500), "Noted.", Reply(status=500), "I go on."])
    agent = create_agent(llm=sized(chat, 1200), checkpointer=saver)
    result = await say_many(agent, 5)
    assert result["answer"]["text"] == "I go on."
    assert result.get("summary") is None
    assert "not summarised" in caplog.text
    assert requests(chat)[-1]["messages"][1]["content"].startswith("Thing 1.")


async def test_for_a_small_model_the_summary_is_what_was_said_and_costs_nothing(
    saver: Any, speaking: Any
) -> None:
    chat = await speaking(["Noted."] * 40)
    agent = create_agent(llm=sized(chat, 1600, plans_by="schema"), checkpointer=saver)
    result = await say_many(agent, 30)
    assert not any("new summary" in str(one) for one in requests(chat))
    lines = result["summary"]["text"].split("\n")
    assert lines[-2].startswith(f"User: Thing {result['summary']['messages'] // 2 - 1}. and so on")
    assert lines[-1] == "Assistant: Noted."
    assert 1000 < len(result["summary"]["text"]) <= 1600
    assert lines[-2] in " ".join(str(requests(chat)[-1]["messages"]).split())


async def test_a_summary_whose_messages_were_removed_counts_no_more(saver: Any, speaking: Any) -> None:
    chat = await speaking(["Yes."])
    agent = create_agent(llm=sized(chat, 1600), checkpointer=saver)
    gone = {"text": "Old.", "first": "a", "last": "b", "messages": 2}
    await agent.aupdate_state(CONFIG, {"messages": [HumanMessage("Hi"), AIMessage("Ho")], "summary": gone})
    await say(agent, "Again.")
    shown = requests(chat)[0]["messages"]
    assert "Old." not in str(shown)
    assert [one["content"] for one in shown[1:]] == ["Hi", "Ho", "Again."]


async def test_a_request_that_is_too_long_is_made_again_with_less_once(
    saver: Any, speaking: Any, caplog: Any
) -> None:
    chat = await speaking([*["Noted."] * 3, Reply(status=400, text=TOO_LONG), "Now it fits."])
    agent = create_agent(llm=sized(chat, 2400), checkpointer=saver)
    result = await say_many(agent, 4)
    assert result["answer"]["text"] == "Now it fits."
    first, second = requests(chat)[-2:]
    assert len(second["messages"]) < len(first["messages"])
    assert second["messages"][-1] == first["messages"][-1]
    assert "asked again with less" in caplog.text


async def test_a_request_that_stays_too_long_ends_with_a_reason(saver: Any, speaking: Any) -> None:
    chat = await speaking([Reply(status=400, text=TOO_LONG)] * 2)
    result = await say(create_agent(llm=sized(chat, 2400), checkpointer=saver), "Hi")
    assert result["answer"]["status"] == "failed"
    assert "too long" in result["answer"]["text"]
    assert len(requests(chat)) == 2


def read_page(number: int) -> str:
    """Read a page."""
    return f"page {number} begins. " + "It goes on. " * 900 + f"Secret of page {number}: ada@example.org."


async def test_a_long_result_gives_way_to_a_reference_that_the_model_can_open(
    saver: Any, speaking: Any
) -> None:
    def opened(request: Any) -> Reply:
        shown = next(one["content"] for one in request["messages"] if one["role"] == "tool")
        call = shown.split("call='")[1][:12]
        assert [one["function"]["name"] for one in request["tools"]] == ["read_page", "open_result"]
        return Reply(tool_calls=(ToolCall("open_result", {"call": call, "start": 10_000}),))

    page = Reply(tool_calls=(ToolCall("read_page", {"number": 1}),))
    chat = await speaking([page, "I have read it.", opened, "I know the secret."])
    agent = create_agent(llm=sized(chat, 3000), tools=[read_page], checkpointer=saver)
    await say(agent, "Read page 1.")
    result = await say(agent, "What is its secret?")
    assert result["answer"]["text"] == "I know the secret."
    told = requests(chat)[-1]["messages"][-1]["content"]
    assert told.endswith("Secret of page 1: ada@example.org.")
    assert "open_result" not in json.dumps(requests(chat)[0]["tools"])


async def test_a_summary_covers_what_its_model_was_shown_and_no_more(saver: Any, speaking: Any) -> None:
    shown: list[str] = []

    def speak(request: Any) -> str:
        if "You keep the summary" not in str(request["messages"][0]["content"]):
            return "Noted."
        shown.append(request["messages"][-1]["content"])
        return f"Summary {len(shown)}."

    chat = await speaking([speak] * 20)
    agent = create_agent(llm=sized(chat, 1600), checkpointer=saver)
    many = [one for n in range(400) for one in (HumanMessage(f"fact{n}: short note"), AIMessage("Noted."))]
    await agent.aupdate_state(CONFIG, {"messages": many})
    result = await say(agent, "And now?")
    assert len(shown) == 4
    assert shown[1].startswith("The summary so far:\nSummary 1.\n")
    covered = result["messages"][: result["summary"]["messages"]]
    assert result["summary"]["last"] == covered[-1].id
    read = " ".join(shown)
    assert [one.text for one in covered if one.text not in read] == []
    assert 100 < len(covered) < 800
    assert result["summary"]["text"] == "Summary 4."
    result = await say(agent, "Go on.")
    assert result["summary"]["messages"] > len(covered)
