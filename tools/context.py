"""For whom a tool is running."""

from langgraph.runtime import get_runtime

from core.context import RunContext, context_of


def run_context() -> RunContext:
    """Return the context of the run that the calling tool is part of: its user and its tenant."""
    return context_of(get_runtime(RunContext))
