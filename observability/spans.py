"""The one writer of spans: of an invocation of an agent, its steps, its model calls and its tool calls.

Spans are written by the OpenTelemetry API, into the provider of this process (`observability.tracing`). An
invocation is one call of a graph: a run that waits for a person is several, each a trace of its own that is
linked to the first. An interrupt is no error.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, SpanKind, Status, StatusCode, Tracer

from core.client_errors import http_status, is_never_sent
from observability import names, span_content
from observability.costs import EMBEDDED, Tokens, tokens_of
from observability.invocations import RUNNING, Invocation
from observability.span_below import Below, failed, left_by

if TYPE_CHECKING:
    from langchain_core.messages import AIMessage, BaseMessage

FAILURES: Final = frozenset({"error", "timeout", "unknown", "invalid", "unknown_tool"})
"""Outcomes of a call that count as errors; what a person or a policy refused does not."""
PROVIDERS: Final = {"api.openai.com": "openai"}
"""Providers by the hosts of their endpoints, as the conventions call them."""


@dataclass(slots=True)
class Spoken:
    """What is told of a model call while it runs.

    Attributes:
        tokens: what it took, as far as the endpoint says.
        model: which answered, where the endpoint names another one.
        finished: why the model stopped.
        reply: what it answered, where the span is to hold that.
        keeps_reply: whether it is.
    """

    tokens: Tokens | None = None
    model: str = ""
    finished: str = ""
    reply: AIMessage | None = None
    keeps_reply: bool = False

    def by(self, reply: AIMessage) -> None:
        """Take from a reply what it says of itself."""
        said = reply.response_metadata
        self.tokens = tokens_of(reply.usage_metadata)
        self.model = str(said.get("model_name") or "")
        self.finished = str(said.get("finish_reason") or "")
        if self.keeps_reply:
            self.reply = reply


@contextmanager
def invocation(
    tracer: Tracer,
    agent: str,
    whose: Mapping[str, str],
    *,
    decide: Callable[[Any], None],
    parent: Invocation | None = None,
) -> Generator[Invocation]:
    """Write the span of one call of a graph.

    Args:
        tracer: of the process.
        agent: the graph's name.
        whose: attributes of all its spans.
        decide: takes its decisions.
        parent: of the agent that hands it work.
    """
    told = {names.OPERATION: names.INVOKE_AGENT, names.AGENT: agent, **whose}
    span = tracer.start_span(f"{names.INVOKE_AGENT} {agent}", context=_above(parent), attributes=told)
    one = Invocation(tracer, span, agent, whose, decide, parent=parent)
    if parent is not None and parent.run_id:
        one.belongs_to(parent.run_id, None)
    try:
        yield one
    except BaseException as error:
        outcome = "abandoned" if isinstance(error, GeneratorExit) else left_by(error)
        if outcome == "interrupted":
            one.interrupted()
        elif outcome == "abandoned":
            one.outcome = one.outcome or outcome
        elif outcome == "failed":
            one.outcome = outcome
            failed(span, error)
        raise
    finally:
        _closed(one)


def _above(parent: Invocation | None) -> Context:
    """Return the context of the running step, or of the one that hands work on where no step is traced.

    A span that the caller of the outermost agent writes elsewhere is above it as one of another process is:
    here the invocation is the first of its spans.
    """
    above = trace.get_current_span()
    if parent is None:
        above = NonRecordingSpan(_as_remote(above.get_span_context()))
    elif _trace(above) != _trace(parent.span):
        above = parent.span
    return trace.set_span_in_context(above)


def _as_remote(context: SpanContext) -> SpanContext:
    return SpanContext(
        context.trace_id,
        context.span_id,
        is_remote=True,
        trace_flags=context.trace_flags,
        trace_state=context.trace_state,
    )


def _trace(span: Span) -> int:
    return span.get_span_context().trace_id


def _closed(one: Invocation) -> None:
    if one.outcome is not None:
        one.span.set_attribute(names.OUTCOME, one.outcome)
    if one.outcome == "failed":
        one.span.set_status(Status(StatusCode.ERROR))
    one.span.end()


def step_span(part_of: Invocation, step: str, attributes: Mapping[str, Any]) -> AbstractContextManager[Span]:
    """Write the span of one step; what it asks of models and tools is below it."""
    return Below(part_of, f"step {step}", {**attributes, names.STEP: step}, is_step=True)


def provider_at(endpoint: str) -> str:
    """Return who provides the models of an endpoint: a name that the conventions know, or else its host."""
    return PROVIDERS.get(endpoint.partition("/")[0], endpoint) or EMBEDDED


def tell_question(part_of: Invocation, text: str) -> None:
    """Have the span of an invocation hold what the agent was asked, where spans hold that."""
    if part_of.tells_content and not part_of.is_asked:
        part_of.is_asked = True
        part_of.span.set_attributes(span_content.question(text))


def tell_answer(part_of: Invocation, text: str, status: str) -> None:
    """Have the span of an invocation hold what the agent answered, where spans hold that."""
    if part_of.tells_content:
        part_of.span.set_attributes(span_content.answer(text, status))


@contextmanager
def model_span(model: str, endpoint: str, asked: Sequence[BaseMessage] = ()) -> Generator[Spoken]:
    """Write the span of one call of a model, asked with messages; outside of a step there is none."""
    spoken, part_of = Spoken(), RUNNING.get()
    if part_of is None:
        yield spoken
        return
    attributes = {
        names.OPERATION: names.CHAT,
        names.AGENT: part_of.agent,
        names.REQUEST_MODEL: model,
        names.PROVIDER: provider_at(endpoint),
    }
    if part_of.tells_content:
        attributes |= span_content.asked_of(asked)
        spoken.keeps_reply = True
    with Below(part_of, f"{names.CHAT} {model}", attributes, kind=SpanKind.CLIENT) as span:
        try:
            yield spoken
        except Exception as error:
            if http_status(error) is not None or _reached_nobody(error):
                spoken.tokens = Tokens()  # who answers with an error, or was never asked, charges nothing
            raise
        finally:
            span.set_attributes(_said(spoken))


def _reached_nobody(error: BaseException) -> bool:
    """Tell whether there was no connection, whatever clients have wrapped that into."""
    one: BaseException | None = error
    while one is not None and not is_never_sent(one):
        one = one.__cause__ or one.__context__
    return one is not None


def tool_span(tool: str, call_id: str, arguments: Any = None) -> AbstractContextManager[Span | None]:
    """Write the span of one call of a tool; outside of a step there is none."""
    part_of = RUNNING.get()
    if part_of is None:
        return nullcontext()
    attributes = {names.OPERATION: names.EXECUTE_TOOL, names.TOOL: tool, names.TOOL_CALL: call_id}
    if part_of.tells_content:
        attributes |= span_content.arguments(arguments)
    return Below(part_of, f"{names.EXECUTE_TOOL} {tool}", attributes)


def end_of_call(span: Span | None, outcome: str, *, arguments: Any = None, result: str | None = None) -> None:
    """Note how a call of a tool ended.

    Args:
        span: of the call.
        outcome: in the words of the log of calls; `interrupted` waits for a person.
        arguments: that it ran with, where they are others than those that it was called with.
        result: what it gave back, or what is said of its failure.
    """
    if span is None:
        return
    if (part_of := RUNNING.get()) is not None and part_of.tells_content:
        if arguments is not None:
            span.set_attributes(span_content.arguments(arguments))
        if result is not None:
            span.set_attributes(span_content.result(result))
    span.set_attribute(names.OUTCOME, outcome)
    if outcome in FAILURES:
        span.set_attribute(names.ERROR_TYPE, outcome)
        span.set_status(Status(StatusCode.ERROR, outcome))


def note_attempt(number: int, error: str) -> None:
    """Add to the span of the running call that an attempt failed, from 1, with the class of its error."""
    trace.get_current_span().add_event("attempt", {names.ATTEMPT: number, names.ERROR_TYPE: error})


def _said(spoken: Spoken) -> dict[str, Any]:
    told: dict[str, Any] = {}
    if spoken.model:
        told[names.RESPONSE_MODEL] = spoken.model
    if spoken.finished:
        told[names.FINISH_REASONS] = (spoken.finished,)
    if (took := spoken.tokens) is not None:
        told |= {names.INPUT_TOKENS: took.input, names.OUTPUT_TOKENS: took.output}
        parts = (
            (names.CACHED_TOKENS, took.cached),
            (names.CACHE_WRITE_TOKENS, took.cache_write),
            (names.REASONING_TOKENS, took.reasoning),
        )
        told |= {name: tokens for name, tokens in parts if tokens}
    if spoken.reply is not None:
        told |= span_content.answered_by(spoken.reply, spoken.finished)
    return told
