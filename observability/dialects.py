"""What places for traces want to be told beside OpenTelemetry's own names, added when spans are sent there.

Each function takes a span as a row of the table of spans and returns further attributes.

Source: the semantic conventions of OpenInference; the pages on OpenTelemetry in the documentation of Langfuse
and of LangSmith, and LangSmith's on threads.
"""

from collections.abc import Mapping
from typing import Any, Final

import orjson

from observability import names

Row = Mapping[str, Any]
"""A span, as `observability.span_store.row_of` makes it."""

_OPENINFERENCE: Final = {
    names.INVOKE_AGENT: "AGENT",
    names.RUN_STEP: "CHAIN",
    names.CHAT: "LLM",
    names.EXECUTE_TOOL: "TOOL",
}
_LANGFUSE: Final = {
    names.INVOKE_AGENT: "agent",
    names.RUN_STEP: "chain",
    names.CHAT: "generation",
    names.EXECUTE_TOOL: "tool",
}
_LANGSMITH: Final = {
    names.INVOKE_AGENT: "chain",
    names.RUN_STEP: "chain",
    names.CHAT: "llm",
    names.EXECUTE_TOOL: "tool",
}


def plain(row: Row) -> dict[str, Any]:
    """Return what any place can be told: the session, and what the call has cost."""
    return _without_unknown({names.SESSION: row["thread_id"], names.COST: cost_of_row(row)})


def openinference(row: Row) -> dict[str, Any]:
    """Return the attributes by which Phoenix shows kind, tokens, cost and session."""
    told: dict[str, Any] = {
        "openinference.span.kind": _OPENINFERENCE.get(row["operation"], "CHAIN"),
        "user.id": row["user_id"] or None,
        "agent.name": row["agent"],
        "graph.node.id": row["step"],
        "tool.name": row["tool"],
        "tag.tags": _tags(row),
        "metadata": orjson.dumps(_facts(row)).decode(),
    }
    if row["operation"] == names.CHAT:
        told |= {
            "llm.model_name": row["model"],
            "llm.provider": row["provider"],
            "llm.cost.total": cost_of_row(row),
        }
    if row["input_tokens"] is not None:
        told |= {
            "llm.token_count.prompt": row["input_tokens"],
            "llm.token_count.completion": row["output_tokens"] or 0,
            "llm.token_count.total": _total(row),
            "llm.token_count.prompt_details.cache_read": row["cached_tokens"],
            "llm.token_count.prompt_details.cache_write": row["cache_write_tokens"],
            "llm.token_count.completion_details.reasoning": row["reasoning_tokens"],
        }
    return _without_unknown(told | plain(row))


def langfuse(row: Row) -> dict[str, Any]:
    """Return the attributes that Langfuse takes type, session, user, tags, usage and cost from."""
    cost, tokens = cost_of_row(row), None
    if row["input_tokens"] is not None:
        cached, written = row["cached_tokens"] or 0, row["cache_write_tokens"] or 0
        tokens = {
            "input": row["input_tokens"] - cached - written,
            "output": row["output_tokens"] or 0,
            "input_cached_tokens": cached,
            "input_cache_creation": written,
            "total": _total(row),
        }
    told = {
        "langfuse.observation.type": _LANGFUSE.get(row["operation"], "span"),
        "langfuse.session.id": row["thread_id"],
        "langfuse.user.id": row["user_id"] or None,
        "langfuse.trace.tags": _tags(row),
        "langfuse.observation.model.name": row["model"] if row["operation"] == names.CHAT else None,
        "langfuse.observation.usage_details": tokens and orjson.dumps(tokens).decode(),
        "langfuse.observation.cost_details": None if cost is None else orjson.dumps({"total": cost}).decode(),
        "langfuse.observation.level": {"error": "ERROR", "interrupted": "DEFAULT"}.get(row["status"]),
        "langfuse.observation.status_message": row["outcome"] if row["status"] == "interrupted" else None,
    }
    facts = {f"langfuse.trace.metadata.{key}": value for key, value in _facts(row).items()}
    return _without_unknown(told | facts | plain(row))


def langsmith(row: Row) -> dict[str, Any]:
    """Return the attributes that LangSmith takes type, thread, user, tags and usage from.

    Its documentation names none for cost: LangSmith computes its own, and ours stands in the metadata.
    """
    told: dict[str, Any] = {
        "langsmith.span.kind": _LANGSMITH.get(row["operation"], "chain"),
        "langsmith.span.tags": ",".join(_tags(row) or ()) or None,
        "langsmith.metadata.thread_id": row["thread_id"],
        "langsmith.metadata.user_id": row["user_id"] or None,
        "langsmith.metadata.cost_usd": cost_of_row(row),
    }
    if row["operation"] == names.CHAT:
        told |= {
            "gen_ai.system": row["provider"],
            "langsmith.metadata.ls_provider": row["provider"],
            "langsmith.metadata.ls_model_name": row["model"],
        }
    if row["input_tokens"] is not None:
        told |= {
            "gen_ai.usage.total_tokens": _total(row),
            "gen_ai.usage.details.reasoning_tokens": row["reasoning_tokens"],
        }
    facts = {f"langsmith.metadata.{key}": value for key, value in _facts(row).items()}
    return _without_unknown(told | facts | plain(row))


def cost_of_row(row: Row) -> float | None:
    """Return what a call has cost in US dollars; None where that is not known."""
    return None if row["cost_usd"] is None else float(row["cost_usd"])


def _total(row: Row) -> int:
    return row["input_tokens"] + (row["output_tokens"] or 0)


def _tags(row: Row) -> tuple[str, ...] | None:
    """Return the agent and, with more than one tenant, whose it is. A comma would part a tag in two."""
    tags = (row["agent"], row["tenant"])
    return tuple(str(tag).replace(",", " ") for tag in tags if tag) or None


def _facts(row: Row) -> dict[str, str]:
    """Return what traces are looked for by."""
    return {key: row[key] for key in ("run_id", "tenant", "outcome") if row[key]}


def _without_unknown(told: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in told.items() if value is not None}
