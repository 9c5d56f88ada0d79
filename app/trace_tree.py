"""A run's spans as a tree in a terminal."""

from decimal import Decimal
from typing import TYPE_CHECKING, Final

from rich.text import Text
from rich.tree import Tree

from app.calls import one_line

if TYPE_CHECKING:
    from observability.trace_log import SpanRow

_COLOURS: Final = {"error": "red", "interrupted": "yellow"}


def dollars(cost: Decimal | None) -> str:
    """Return US dollars as people read them; a price that is not known is never a zero."""
    if cost is None:
        return "unknown"
    return f"${cost:.2f}" if cost >= 1 or not cost else f"${cost:.6f}"


def trees(spans: "list[SpanRow]") -> list[Tree]:
    """Return a tree for each span that has none above it here."""
    nodes = {one.span_id: _node(one) for one in spans}
    tops: list[Tree] = []
    for one in spans:
        above = nodes.get(one.parent_id or "")
        if above is None:
            tops.append(nodes[one.span_id])
        else:
            above.children.append(nodes[one.span_id])
    return tops


def _node(one: "SpanRow") -> Tree:
    """Return a span with what was asked and answered below it, where that was looked up."""
    node = Tree(span_label(one))
    for said in said_in(one):
        node.add(said)
    return node


def said_in(one: "SpanRow") -> list[Text]:
    """Return what was asked and answered at a span, message by message, where that was looked up."""
    from observability.content_dialects import as_messages, worded_message  # noqa: PLC0415 - loaded when it runs

    return [
        Text.assemble((f"{one_line(str(message['role']))}: ", "bold"), _lines(worded_message(message)))
        for side in as_messages(one.attributes)
        for message in side
    ]


def span_label(one: "SpanRow") -> Text:
    """Return a span in one line: its name, time, tokens, cost and what went wrong."""
    told = [f"{one.duration_ms:.0f} ms"]
    if one.input_tokens is not None:
        told.append(f"{one.input_tokens} in, {one.output_tokens or 0} out")
        told.append(dollars(one.cost_usd))
    if one.outcome and one.outcome != "ok":
        told.append(one.outcome)
    if one.error_type and one.error_type != one.outcome:
        told.append(one.error_type)
    failed = [event for event in one.events if event.get("name") == "attempt"]
    if failed:
        told.append(f"{len(failed)} failed attempts")
    return Text.assemble(
        one_line(one.name), (f"  {one_line(', '.join(told))}", _COLOURS.get(one.status, "dim"))
    )


def _lines(text: str) -> str:
    """Return text line by line, without what steers a terminal."""
    return "\n".join(one_line(line) for line in text.splitlines())
