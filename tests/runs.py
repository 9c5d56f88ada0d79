"""Runs on record, for tests that look at what was kept of them."""

from core.context import RunContext
from core.database import Database
from memory.runs import begin_run


async def begins(
    database: Database,
    run_id: str,
    *,
    thread_id: str | None = None,
    graph: str = "clerk",
    question: str = "6 * 7?",
    user: str = "local",
    tenant: str = "local",
) -> None:
    """Begin a run, on a thread that is called like it unless another one is named."""
    await begin_run(
        database,
        thread_id=run_id if thread_id is None else thread_id,
        run_id=run_id,
        graph=graph,
        question=question,
        context=RunContext(user=user, tenant=tenant),
    )
