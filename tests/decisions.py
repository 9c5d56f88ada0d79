"""A decision that some run has made, with words of one's choice."""

from core.database import Database
from observability.noting import DecisionStore, Noted


async def decided(database: Database, thread_id: str, words: str, *, run_id: str) -> None:
    """Keep a decision of a run that there is, whose choice, candidates and reason hold the words."""
    one = Noted(
        once=None,
        tenant="local",
        user="local",
        thread_id=thread_id,
        run_id=run_id,
        step=1,
        kind="route",
        choice=words,
        candidates=(words, "b"),
        reason=f"because of {words}",
        decided_by="rule",
        confidence=None,
        trace_id=None,
        span_id=None,
        agent=None,
    )
    await DecisionStore(database).deliver([one])
