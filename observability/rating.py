"""Takes feedback in: keeps it, and sends it on with the run that it is about."""

from __future__ import annotations

from core.process import current_process
from observability.feedback import Feedback, NewFeedback, store_feedback
from observability.stored_spans import export_run
from observability.tracing import current_tracing


async def give_feedback(tenant: str, new: NewFeedback) -> Feedback:
    """Keep what somebody says of a run of the tenant, and send it to the places that get spans.

    A run that was left out of the share of traces is sent first.

    Raises:
        InputError: the tenant has no such run, nothing is said, or it is out of range.
        ConfigurationError: the settings of a place for traces can't be used.
    """
    process = await current_process()
    given = await store_feedback(await process.database(), tenant, new)
    if process.settings.traces or process.settings.langsmith_tracing:
        if given.goes_on:
            await export_run(new.run_id)
        for outlet in (await current_tracing()).feedback:
            outlet.put(given.feedback)
    return given.feedback
