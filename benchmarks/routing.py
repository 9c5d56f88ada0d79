"""Measure how well the reference router finds the specialist, on labelled requests.

Without an endpoint set, the embedded model decides. The last line has the figures of the whole router: cases,
accuracy, the share that was asked back, and the tokens of a decision; the lines before it those of the rules
alone and of the model alone. The reference router itself never asks: what it is unsure of goes to `general`.
"""

import argparse
import asyncio
from collections import Counter
from typing import Any

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from langgraph.graph import END, START, MessagesState, StateGraph

from core.process import opened_process
from core.settings import settings
from evals.routing import Choice, LabelledRequest, is_right, load_requests, quality
from graphs.help_desk import RULES, specialists
from graphs.router import Specialist, create_router
from graphs.single import Agent
from guardrails.routing import first_rule

GENERAL = "general"


async def main() -> None:
    """Route every request by the model, and print what comes of rules, model and both."""
    options = _options()
    requests = load_requests()[:: options.every]
    async with opened_process(settings()):
        router = _router()
        by_model = [await _routed(router, one) for one in requests]
    ruled = [first_rule(RULES, one.request, ()) for one in requests]
    by_rules = [Choice(found[0] if found else None, 0) for found in ruled]
    together = [
        rule if rule.specialist is not None else model for rule, model in zip(by_rules, by_model, strict=True)
    ]
    _print_mistakes(requests, together)
    for name, choices in (("rules only", by_rules), ("model only", by_model), ("router", together)):
        print(f"{name}: {quality(requests, choices, general=GENERAL).line()}")


def _router() -> Agent:
    """Return the reference router without rules, asking when unsure, with specialists that cost nothing."""
    mute = [
        Specialist(one.name, one.description, _mute(), one.not_for, one.examples) for one in specialists()
    ]
    return create_router(specialists=mute)


def _mute() -> Any:
    async def say(state: MessagesState) -> dict[str, list[AnyMessage]]:
        del state
        return {"messages": [AIMessage("Done.")]}

    builder = StateGraph(MessagesState)
    builder.add_node("say", say)
    builder.add_edge(START, "say")
    builder.add_edge("say", END)
    return builder.compile()


async def _routed(router: Agent, request: LabelledRequest) -> Choice:
    asked: Any = {"messages": [HumanMessage(request.request)]}
    result = await router.ainvoke(asked)
    tokens = result["turn"]["input_tokens"] + result["turn"]["output_tokens"]
    said = result["answer"].get("contributions") or []
    return Choice(said[0]["agent"] if said else None, tokens)


def _print_mistakes(requests: list[LabelledRequest], choices: list[Choice]) -> None:
    wrong = Counter(
        (asked.specialist, done.specialist or "asked back")
        for asked, done in zip(requests, choices, strict=True)
        if not is_right(asked, done, general=GENERAL)
    )
    for (label, given), times in wrong.most_common():
        print(f"{label} -> {given}: {times}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=1, help="take each n-th request only")
    return parser.parse_args()


if __name__ == "__main__":
    asyncio.run(main())
