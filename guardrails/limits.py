"""The limits of a turn: pure verdicts over what it has used."""

from core.context import RunContext
from core.state import Stop, Turn


def spent(turn: Turn, context: RunContext) -> Stop | None:
    """Return why the turn may not go on, or None if it may.

    A limit holds at the boundary between steps: the step that crosses it is finished, the next not begun.
    """
    tokens = turn["input_tokens"] + turn["output_tokens"]
    if tokens >= context.max_tokens:
        return Stop(
            reason="budget",
            message=f"I stopped: this request used {tokens:,} of its {context.max_tokens:,} tokens.",
        )
    if turn["elapsed_s"] >= context.max_time_s:
        return Stop(
            reason="deadline",
            message=f"I stopped: this request worked for {turn['elapsed_s']:.1f} s "
            f"of the {context.max_time_s:g} s it may take.",
        )
    if turn["step"] >= context.max_steps:
        return Stop(
            reason="step_limit",
            message=f"I stopped without an answer: this request may take {context.max_steps} steps at most.",
        )
    return None


def time_left_s(turn: Turn, context: RunContext) -> float:
    """Return the seconds of work that are left to the turn, at least 0."""
    return max(0.0, context.max_time_s - turn["elapsed_s"])
