"""The single agent: one model with tools."""

from collections.abc import Sequence

from langchain_core.language_models import BaseChatModel
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph.state import CompiledStateGraph
from langgraph.store.base import BaseStore
from pydantic import BaseModel

from core.context import RunContext
from core.models import configured_model, given_model
from core.protocols import ModelSource
from core.state import AgentInput, AgentState
from core.structured import state_with
from graphs.loop import Loop, assemble
from nodes.execute import executing
from nodes.observe import observe
from nodes.plan import planning
from nodes.receive import receiving
from nodes.recovering import recovering
from nodes.respond import respond, respond_structured
from nodes.review import review
from nodes.structured import answer_form
from tools.calculator import arithmetic
from tools.clock import clock
from tools.contract import AnyTool, contracted
from tools.documents import document_search
from tools.runtime import ToolRuntime

Agent = CompiledStateGraph[AgentState, RunContext, AgentInput, AgentState]
SYSTEM_PROMPT = (
    "You are a careful assistant. You answer questions about documents from what the search returns, compute "
    "with the calculator, and say so when you do not know."
)


def create_agent(  # noqa: PLR0913 - each is a part of an agent, and all are named at the call
    *,
    llm: BaseChatModel | ModelSource | str | None = None,
    tools: Sequence[AnyTool] = (),
    system_prompt: str = SYSTEM_PROMPT,
    response_format: type[BaseModel] | None = None,
    name: str = "single",
    checkpointer: BaseCheckpointSaver[str] | None = None,
    store: BaseStore | None = None,
) -> Agent:
    """Return a compiled graph: a model that plans, tools that it calls, limits that hold.

    Nothing is opened here: the database and the model open when the graph first runs, in the process of the
    event loop that runs it (see `core.process`).

    Args:
        llm: a chat model, the name of one at the configured endpoint, a source of a model with a profile
            of its own, or None for the configured one.
        tools: contracted tools, LangChain tools or functions with a docstring.
        system_prompt: the operator's words to the model.
        response_format: a Pydantic model; the result then holds an instance of it, made from the answer,
            under `structured_response`, or None there where the run gave no answer.
        name: the name under which runs are recorded, and of the graph.
        checkpointer: keeps threads; None inside a server, which has its own.
        store: long-term memory, for tools that ask the runtime for it.

    Raises:
        ValueError: two tools share a name, or a declaration contradicts itself.
        TypeError: `response_format` is no Pydantic model.
    """
    model = _source(llm)
    runtime = ToolRuntime([contracted(tool) for tool in tools])
    wanted = answer_form(response_format, taken=runtime.tools) if response_format else None
    plan = planning(model, list(runtime.tools.values()), system_prompt=system_prompt, response_format=wanted)
    loop = Loop(
        receive=receiving(model, graph=name),
        plan=recovering(plan) if runtime.has_effects else plan,
        execute=executing(runtime),
        observe=observe,
        review=review if runtime.may_ask else None,
        respond=respond_structured if wanted else respond,
    )
    state = state_with(response_format) if response_format else AgentState
    return assemble(loop, state).compile(checkpointer=checkpointer, store=store, name=name)


def _source(llm: BaseChatModel | ModelSource | str | None) -> ModelSource:
    if isinstance(llm, BaseChatModel):
        return given_model(llm)
    return configured_model(llm) if llm is None or isinstance(llm, str) else llm


def create_single(checkpointer: BaseCheckpointSaver[str] | None = None) -> Agent:
    """Return the reference agent: a research assistant over the indexed documents."""
    return create_agent(tools=[document_search(), arithmetic(), clock()], checkpointer=checkpointer)


graph = create_single()
"""The reference agent as the server loads it, without a checkpointer: the server brings its own."""
