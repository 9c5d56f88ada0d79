"""The hierarchical agent: a supervisor that splits work among teams, each a graph of its own."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import StateGraph
from langgraph.pregel import Pregel
from langgraph.store.base import BaseStore

from core.context import RunContext
from core.errors import ConfigurationError
from core.protocols import Example
from core.state import AgentInput, AgentState
from graphs.checks import check_roles, check_surroundings, check_text, checked_memory, graph_place, members
from graphs.loop import Loop, assemble
from graphs.minds import noting_of, planning_of
from graphs.single import Agent, Llm, later_models, model_source
from graphs.traced import traced
from graphs.workers import checked
from guardrails.chain import Roles
from nodes.assignments import Delegate, Task
from nodes.delegate import MAX_DEPTH, delegating
from nodes.execute import executing
from nodes.learning import Mind
from nodes.observe import observe
from nodes.plan import planning
from nodes.receive import receiving
from nodes.recovering import recovering
from nodes.remembering import Memory
from nodes.respond import responding
from nodes.review import review
from nodes.seeing import Frame
from tools.contract import AnyTool, contracted
from tools.runtime import ToolRuntime

SYSTEM_PROMPT = (
    "You lead teams. Split the request into tasks and hand each to the team it is for. A team sees nothing "
    "but its task: write down every name, number and date it needs. Hand out independent tasks together; "
    "where one needs the report of another, name that one in `after`. Read the reports. If a team failed, "
    "give the task again, to another team, or go on without it and say so. In the answer say which team "
    "said what."
)


@dataclass(frozen=True, slots=True)
class Team:
    """A team that a supervisor can give tasks to: a graph, or teams of its own.

    Attributes:
        name: of its node; letters, digits, _ and -. No other team of the whole hierarchy has it.
        description: what it is for, for the supervisor.
        graph: a compiled graph of any kind, without a checkpointer.
        teams: instead of `graph`, the teams that this one leads; its supervisor has the same model.
        examples: requests that are for it, for models that learn by them.
    """

    name: str
    description: str
    graph: Pregel[Any, Any, Any, Any] | None = None
    teams: Sequence["Team"] = ()
    examples: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class _Minds:
    """The models that supervise, and what they are told."""

    llm: Llm | None
    fallbacks: Sequence[Llm] | None
    system_prompt: str
    active_rules: bool
    memory: Memory = False


def create_hierarchy(  # noqa: PLR0913 - each is a part of an agent, and all are named at the call
    *,
    llm: Llm | None = None,
    fallbacks: Sequence[Llm] | None = None,
    teams: Sequence[Team],
    tools: Sequence[AnyTool] = (),
    system_prompt: str = SYSTEM_PROMPT,
    roles: Roles | None = None,
    name: str = "hierarchy",
    checkpointer: BaseCheckpointSaver[str] | None = None,
    store: BaseStore | None = None,
    active_rules: bool = True,
    memory: Memory = False,
) -> Agent:
    """Return a compiled graph: a supervisor that plans tasks, teams that carry them out side by side.

    Args:
        llm: of the supervisors; see `graphs.single.create_agent`.
        fallbacks: as there.
        teams: who can be given tasks.
        tools: of the supervisor itself.
        system_prompt: the operator's words to it.
        roles: who has which role in the approval of its own calls; see `create_agent`.
        name: of the graph and its runs.
        checkpointer: keeps threads; None inside a server, which has its own.
        store: long-term memory, for tools that ask the runtime for it.
        active_rules: its supervisors follow the active rules, see `create_agent`.
        memory: see `create_agent`; teams are told what the supervisor writes into tasks.

    Raises:
        ConfigurationError: teams, tools, approval or an argument can't be what is said here.
    """
    place = graph_place("hierarchy", name)
    check_surroundings(place, llm=llm, fallbacks=fallbacks, checkpointer=checkpointer, store=store)
    minds = _Minds(llm, fallbacks, system_prompt, active_rules, checked_memory(place, memory))
    below = _delegates(teams, replace(minds, system_prompt=SYSTEM_PROMPT, memory=False), (name,))
    runtime = _runtime(place, tools, roles, others=[str(one.name) for one in below])
    supervised = _supervised(name, checked(below, of=place, tools=runtime.tools), runtime, minds)
    return traced(supervised.compile(checkpointer=checkpointer, store=store, name=name))


def _runtime(
    place: str, tools: Sequence[AnyTool], roles: Roles | None, *, others: Sequence[str]
) -> ToolRuntime:
    """Return what runs the supervisor's own calls.

    Raises:
        ConfigurationError: a tool can't be used, or its approval can't be fulfilled.
    """
    check_roles(place, roles)
    given = members(tools, object, of=place, argument="tools")
    try:
        return ToolRuntime([contracted(cast("AnyTool", tool)) for tool in given], others=others, roles=roles)
    except (ConfigurationError, TypeError, ValueError) as error:
        raise ConfigurationError(f"{place}: {error}") from error


def _delegates(teams: Sequence[Team], minds: _Minds, above: tuple[str, ...]) -> list[Delegate]:
    """Return the teams as agents to hand work to, those that lead others built from the bottom up."""
    found: list[Delegate] = []
    of = f"hierarchy {above[0]!r}" if len(above) == 1 else f"team {' > '.join(above)}"
    for team in members(teams, Team, of=of, argument="teams"):
        place = " > ".join([*above, str(team.name)])
        if team.name == above[0]:
            raise ConfigurationError(f"team {place} has the name of the hierarchy. Give it another one.")
        if team.name in above:
            raise ConfigurationError(f"team {place}: teams lead each other in a circle.")
        if len(above) > MAX_DEPTH:
            raise ConfigurationError(
                f"team {place} lies {len(above)} levels down; a request may be handed down {MAX_DEPTH} times."
            )
        led = members(team.teams, Team, of=f"team {place}", argument="teams")
        if (team.graph is None) == (not led):
            raise ConfigurationError(f"team {place} needs a graph, or teams that it leads: one of the two.")
        graph = team.graph
        if graph is None:
            below = checked(_delegates(led, minds, (*above, team.name)), of=f"team {place}")
            runtime = ToolRuntime([], others=[one.name for one in below])
            graph = traced(_supervised(team.name, below, runtime, minds).compile(name=team.name))
        examples = members(team.examples, str, of=f"team {place}", argument="examples")
        check_text("".join(examples), of=f"team {place}", argument="examples")
        found.append(Delegate(team.name, team.description, graph, Task, _shown(team.name, examples)))
    return found


def _shown(name: str, requests: Sequence[str]) -> tuple[Example, ...]:
    return tuple(
        Example(one, {"task": f"{name}_{number}", "goal": one}) for number, one in enumerate(requests, 1)
    )


def _supervised(
    name: str, delegates: Sequence[Delegate], runtime: ToolRuntime, minds: _Minds
) -> StateGraph[AgentState, RunContext, AgentInput, AgentState]:
    """Return the graph of a supervisor over its teams, not yet compiled.

    Raises:
        ConfigurationError: the operator's words are no text.
    """
    check_text(minds.system_prompt, of=f"hierarchy {name!r}", argument="system_prompt")
    model, later = model_source(minds.llm), later_models(minds.llm, minds.fallbacks)
    mind = Mind(name, model, later, minds.memory, active_rules=minds.active_rules)
    specs = [*delegates, *runtime.tools.values()]
    plan = planning(model, specs, system_prompt=minds.system_prompt, fallbacks=later, several=True)
    plan = planning_of(mind, plan)
    beside = Frame(minds.system_prompt, specs)
    loop = Loop(
        receive=receiving(model, graph=name, noting=noting_of(mind), beside=beside),
        plan=recovering(plan),
        execute=executing(runtime),
        observe=observe,
        review=review if runtime.may_ask else None,
        respond=responding(mind),
        agents={one.name: delegating(one) for one in delegates},
    )
    return assemble(loop)
