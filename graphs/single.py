"""The single agent: one model with tools."""

from collections.abc import Sequence
from typing import cast

from langchain_core.language_models import BaseChatModel
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph.state import CompiledStateGraph
from langgraph.store.base import BaseStore
from pydantic import BaseModel

from core.context import RunContext
from core.models import (
    configured_fallbacks,
    configured_model,
    given_fallbacks,
    given_model,
)
from core.protocols import FallbackSource, ModelSource
from core.state import AgentInput, AgentState
from core.structured import state_with
from graphs.checks import check_roles, check_surroundings, check_text, checked_memory, graph_place, members
from graphs.loop import Loop, assemble
from graphs.minds import noting_of, planning_of
from graphs.traced import traced
from guardrails.chain import Roles
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
from nodes.structured import answer_form
from tools.calculator import arithmetic
from tools.clock import clock
from tools.contract import AnyTool, Tool, contracted
from tools.documents import document_search
from tools.earlier_results import with_earlier_results
from tools.runtime import ToolRuntime
from tools.web import web_reader

Llm = BaseChatModel | ModelSource | str
"""What names a model: a chat model, a source of one with its profile, or a name at the endpoint."""
Agent = CompiledStateGraph[AgentState, RunContext, AgentInput, AgentState]
SYSTEM_PROMPT = (
    "You are a careful assistant. You answer questions about documents from what the search returns, compute "
    "with the calculator, and say so when you do not know."
)


def create_agent(  # noqa: PLR0913 - each is a part of an agent, and all are named at the call
    *,
    llm: Llm | None = None,
    fallbacks: Sequence[Llm] | None = None,
    tools: Sequence[AnyTool] = (),
    system_prompt: str = SYSTEM_PROMPT,
    response_format: type[BaseModel] | None = None,
    name: str = "single",
    roles: Roles | None = None,
    checkpointer: BaseCheckpointSaver[str] | None = None,
    store: BaseStore | None = None,
    active_rules: bool = True,
    memory: Memory = False,
) -> Agent:
    """Return a compiled graph; database and models open when it first runs (see `core.process`).

    Args:
        llm: what names a model, see `Llm`; None for the configured one.
        fallbacks: asked in order when `llm` can't be used; None for the configured ones if `llm` is None.
        tools: contracted tools, LangChain tools or functions with a docstring.
        system_prompt: the operator's words to the model.
        response_format: a Pydantic model, an instance of which the result holds as `structured_response`.
        name: of the graph and its runs.
        roles: who has which role in the approval of calls; None for what BORING_ROLES says.
        checkpointer: keeps threads; None inside a server, which has its own.
        store: long-term memory, for tools that ask the runtime for it.
        active_rules: it follows the rules that are active for its tenant, user and name; see docs/rules.md.
        memory: whether or how the agent recalls and learns; None for what BORING_MEMORY says.

    Raises:
        ConfigurationError: an argument is not what is said here, or nobody can approve a tool.
        ValueError: two tools share a name, or a declaration contradicts itself.
    """
    place = graph_place("agent", name)
    check_surroundings(place, llm=llm, fallbacks=fallbacks, checkpointer=checkpointer, store=store)
    runtime = _runtime(place, tools, roles)
    mind = mind_of(place, name, llm, fallbacks, memory=memory, active_rules=active_rules)
    loop = _loop(mind, runtime, response_format, system_prompt=system_prompt)
    graph = assemble(loop, state_with(response_format) if response_format else AgentState)
    return traced(graph.compile(checkpointer=checkpointer, store=store, name=name))


def mind_of(  # noqa: PLR0913 - each is a part of a mind
    place: str,
    name: str,
    llm: Llm | None,
    fallbacks: Sequence[Llm] | None,
    *,
    memory: Memory,
    active_rules: bool,
) -> Mind:
    """Return the models of an agent, with what it knows beside a conversation.

    Raises:
        ConfigurationError: `memory` is no policy.
    """
    how = checked_memory(place, memory)
    return Mind(name, model_source(llm), later_models(llm, fallbacks), how, active_rules=active_rules)


def _runtime(place: str, tools: Sequence[AnyTool], roles: Roles | None) -> ToolRuntime:
    check_roles(place, roles)
    given = members(tools, object, of=place, argument="tools")
    tools = [contracted(cast("AnyTool", tool)) for tool in given]
    return ToolRuntime(with_earlier_results(tools) if tools else [], roles=roles)


def _loop(mind: Mind, runtime: ToolRuntime, answer: type[BaseModel] | None, *, system_prompt: str) -> Loop:
    check_text(system_prompt, of=graph_place("agent", mind.graph), argument="system_prompt")
    form = answer_form(answer, taken=runtime.tools) if answer else None
    model, later = mind.model, mind.fallbacks
    specs = list(runtime.tools.values())
    plan = planning(model, specs, system_prompt=system_prompt, response_format=form, fallbacks=later)
    plan = planning_of(mind, plan)
    return Loop(
        receive=receiving(
            model, graph=mind.graph, noting=noting_of(mind), beside=Frame(system_prompt, specs)
        ),
        plan=recovering(plan) if runtime.has_effects or runtime.may_ask else plan,
        execute=executing(runtime),
        observe=observe,
        review=review if runtime.may_ask else None,
        respond=responding(mind, structured=form is not None),
    )


def later_models(llm: Llm | None, fallbacks: Sequence[Llm] | None) -> FallbackSource:
    """Return the models to ask when `llm` can't be used."""
    if llm is None and fallbacks is None:
        return configured_fallbacks
    return given_fallbacks(*map(model_source, fallbacks or ()))


def model_source(llm: Llm | None) -> ModelSource:
    """Return a source of the model that `llm` names."""
    if isinstance(llm, BaseChatModel):
        return given_model(llm)
    return configured_model(llm) if llm is None or isinstance(llm, str) else llm


def reference_tools() -> list[Tool]:
    """Return the tools of the reference agent."""
    return [document_search(), arithmetic(), clock(), web_reader()]


def create_single(
    checkpointer: BaseCheckpointSaver[str] | None = None, *, tools: Sequence[AnyTool] = ()
) -> Agent:
    """Return the reference agent: a research assistant over the indexed documents and the web.

    Args:
        checkpointer: keeps threads; None inside a server.
        tools: more tools, such as those of MCP servers.

    It recalls and learns if BORING_MEMORY says so.
    """
    return create_agent(tools=[*reference_tools(), *tools], checkpointer=checkpointer, memory=None)


graph = create_single()
"""The reference agent as the server loads it, without a checkpointer: the server brings its own."""
