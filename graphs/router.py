"""The router: finds the specialist that a request is for, and hands it over."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, cast, get_args

from langchain_core.messages import AnyMessage
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.pregel import Pregel
from langgraph.store.base import BaseStore

from core.errors import ConfigurationError
from graphs.checks import check_surroundings, check_text, graph_place, members
from graphs.loop import Loop, assemble
from graphs.minds import noting_of, planning_of
from graphs.single import Agent, Llm, mind_of
from graphs.traced import traced
from graphs.workers import checked
from guardrails.routing import Rule
from nodes.assignments import Delegate, Request
from nodes.delegate import delegating
from nodes.execute import executing
from nodes.learning import Mind
from nodes.observe import observe
from nodes.plan import planning
from nodes.receive import receiving
from nodes.recovering import recovering
from nodes.remembering import Memory
from nodes.respond import responding
from nodes.routing import Routing, routing
from nodes.routing_form import NOBODY, decision_format, worked_examples
from nodes.seeing import Frame
from nodes.structured import answer_form
from tools.runtime import ToolRuntime

_TASK = (
    "You decide who answers the user's last message. Do not answer it. Split it only if it holds several "
    "requests for different specialists. Write each request so that it can be understood without the "
    "conversation. The specialists:"
)


Unsure = Literal["ask", "general"]
"""What a router does that is not sure: it asks the user, or has the general specialist answer."""


@dataclass(frozen=True, slots=True)
class Specialist:
    """Somebody a router can hand a request to.

    Attributes:
        name: of its node; letters, digits, _ and -.
        description: what it is for, for the router and, where it asks back, for the user.
        graph: a compiled graph of any kind, without a checkpointer. It hands a request back by the tool
            `tools.declining.decline`.
        not_for: what is easily taken for its business and is not.
        examples: requests that are for it.
    """

    name: str
    description: str
    graph: Pregel[Any, Any, Any, Any]
    not_for: str = ""
    examples: Sequence[str] = ()


def create_router(  # noqa: PLR0913 - each is a part of an agent, and all are named at the call
    *,
    llm: Llm | None = None,
    fallbacks: Sequence[Llm] | None = None,
    specialists: Sequence[Specialist],
    rules: Sequence[Rule] = (),
    below: float = 0.6,
    unsure: Unsure = "ask",
    general: str | None = None,
    name: str = "router",
    checkpointer: BaseCheckpointSaver[str] | None = None,
    store: BaseStore | None = None,
    active_rules: bool = True,
    memory: Memory = False,
) -> Agent:
    """Return a compiled graph: a decision, one specialist that answers, or several for several requests.

    Args:
        llm: decides; see `graphs.single.create_agent`.
        fallbacks: as there.
        specialists: who can answer.
        rules: tried in order before the model is asked.
        below: a confidence under it counts as unsure, 0 to 1.
        unsure: `ask` the user one question (then take `general` or the best guess), or have `general` answer.
        general: the specialist that takes what belongs nowhere.
        name: the name under which runs are recorded, and of the graph.
        checkpointer: keeps threads; None inside a server, which has its own.
        store: long-term memory, for tools that ask the runtime for it.
        active_rules: it decides by the active rules, see `graphs.single.create_agent`.
        memory: see `create_agent`; specialists are told what the router writes into requests.

    Raises:
        ConfigurationError: names are shared or nobody's, or an argument is not what is said here.
    """
    place = graph_place("router", name)
    check_surroundings(place, llm=llm, fallbacks=fallbacks, checkpointer=checkpointer, store=store)
    how = Routing({}, rules=rules, below=below, unsure=unsure, general=general)
    mind = mind_of(place, name, llm, fallbacks, memory=memory, active_rules=active_rules)
    loop = assemble(_loop(place, specialists, how, mind))
    return traced(loop.compile(checkpointer=checkpointer, store=store, name=name))


def _loop(place: str, specialists: Sequence[Specialist], how: Routing, mind: Mind) -> Loop:
    specialists = members(specialists, Specialist, of=place, argument="specialists")
    delegates = [Delegate(one.name, one.description, one.graph, Request) for one in specialists]
    delegates = checked(delegates, of=place)
    names = [one.name for one in delegates]
    how = replace(
        how,
        described={one.name: one.description.strip() for one in specialists},
        rules=members(how.rules, Rule, of=place, argument="rules"),
    )
    _check(place, names, how)
    words = _words(place, specialists)
    decide = planning(
        mind.model,
        [],
        system_prompt=words,
        response_format=answer_form(decision_format(names)),
        fallbacks=mind.fallbacks,
        quiet=True,
        examples=_shown(specialists),
    )
    return Loop(
        receive=receiving(mind.model, graph=mind.graph, noting=noting_of(mind), beside=Frame(words)),
        plan=recovering(routing(how, planning_of(mind, decide))),
        execute=executing(ToolRuntime([], others=names)),
        observe=observe,
        review=None,
        respond=responding(mind),
        agents={one.name: delegating(one) for one in delegates},
    )


def _shown(specialists: Sequence[Specialist]) -> list[AnyMessage]:
    described = {one.name: one.description for one in specialists}
    return worked_examples(described, {one.name: one.examples for one in specialists if one.examples})


def _check(place: str, names: Sequence[str], how: Routing) -> None:
    """Refuse what can't be decided by.

    Raises:
        ConfigurationError: a rule or `general` names nobody, `below` is no confidence, or `unsure` is
            none of the two.
    """
    known = ", ".join(names)
    for number, rule in enumerate(how.rules, 1):
        if rule.specialist not in names:
            raise ConfigurationError(
                f"{place}: rule {number} names {rule.specialist!r:.80}, who is no specialist. "
                f"There are: {known}."
            )
    if how.general is not None and how.general not in names:
        raise ConfigurationError(
            f"{place}: general is {how.general!r:.80}, who is no specialist. There are: {known}."
        )
    if how.unsure not in get_args(Unsure):
        raise ConfigurationError(f"{place}: unsure is {how.unsure!r:.80}; expected 'ask' or 'general'.")
    if how.unsure == "general" and how.general is None:
        raise ConfigurationError(f"{place}: unsure is 'general', but general names nobody.")
    below = cast("object", how.below)
    if isinstance(below, bool) or not isinstance(below, (int, float)) or not 0 <= below <= 1:
        raise ConfigurationError(f"{place}: below is {below!r:.80}; expected a confidence from 0 to 1.")


def _words(place: str, specialists: Sequence[Specialist]) -> str:
    """Return the router's task in words.

    Raises:
        ConfigurationError: what is said of a specialist is no text.
    """
    lines = [_TASK]
    for one in specialists:
        whose = f"{place}: specialist {one.name!r}"
        check_text(one.not_for, of=whose, argument="not_for")
        examples = members(one.examples, str, of=whose, argument="examples")
        check_text("".join(examples), of=whose, argument="examples")
        lines.append(f"- {one.name}: {one.description.strip()}")
        lines += [f"  Not for: {one.not_for.strip()}"] if one.not_for.strip() else []
        lines += [f"  Such as: {'; '.join(examples)}"] if examples else []
    lines.append(f"- {NOBODY}: what none of them is for.")
    return "\n".join(lines)
