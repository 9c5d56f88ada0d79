from langchain_core.messages import AIMessage, AnyMessage, HumanMessage

from memory.buffer import fitted, turn_start


def conversation(turns: int, *, words: int = 100) -> list[AnyMessage]:
    messages: list[AnyMessage] = [
        message
        for n in range(turns)
        for message in (HumanMessage(f"question {n} " + "word " * words), AIMessage(f"answer {n}"))
    ]
    return messages[:-1]


def test_a_short_conversation_is_kept_whole() -> None:
    messages = conversation(3)
    assert fitted(messages, context_tokens=100_000, max_tokens=1000) == messages


def test_a_long_conversation_loses_its_oldest_turns_as_wholes() -> None:
    messages = conversation(50)
    kept = fitted(messages, context_tokens=4000, max_tokens=500)
    assert isinstance(kept[0], HumanMessage)
    assert kept == messages[-len(kept) :]
    assert 1 < len(kept) < len(messages)


def test_the_running_turn_is_kept_even_if_it_alone_is_too_long() -> None:
    messages = conversation(2, words=5000)
    assert fitted(messages, context_tokens=1000, max_tokens=100) == messages[2:]


def test_the_turn_starts_at_the_last_question() -> None:
    assert turn_start(conversation(3)) == 4
    assert turn_start([]) == 0
