"""Whether a question can be taken up at all."""

from core.state import Stop


def refused(question: str, *, max_chars: int) -> Stop | None:
    """Return why the question is refused, or None if it is taken up."""
    if not question.strip():
        return Stop(reason="refused", message="The question is empty. Ask something.")
    if len(question) > max_chars:
        return Stop(
            reason="refused",
            message=f"The question has {len(question):,} characters; the model takes at most {max_chars:,}. "
            "Shorten it, or put the text into a file and add it with `boring index FILE`.",
        )
    return None
