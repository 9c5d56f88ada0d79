"""Learns from turns that are over: one at a time, taken from the queue, settled, paid by its run.

What is learnt, that the turn is done and what it cost commit together, so that a worker which is killed, or
has lost the turn to another one, leaves nothing half done.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import psycopg
from langgraph.store.base import SearchOp
from psycopg.rows import DictRow

from core.client_errors import named_error
from core.database import Database
from core.errors import BoringError, TransientError
from core.forgetting_gate import pass_gate
from core.process import current_process
from core.protocols import FallbackSource, ModelSource
from core.tenants import as_tenant
from core.worker import current_worker
from memory.extractions import Extraction, Spent, Wanted, claimed, finish, let_go, put_back
from memory.facts import fact_item, user_namespace
from memory.facts_settling import settle
from memory.items import NewItem, Origin
from memory.store_models import Asked, answered, unless_overtaken
from memory.store_search import found_alone
from memory.store_text import asked_text
from nodes.extracting import Fact, asking, extracted, facts_form, spent_on
from nodes.fallback import Line
from nodes.remembering import Memory, MemoryPolicy, policy_of
from observability import names
from observability.afterwards import step_afterwards
from tools.breakers import current_breakers

RETRY_S: Final = 20.0
"""After how long a turn is tried again; twice as long after each further failure."""
_LETTING_GO_S: Final = 2.0
_MOST_KNOWN: Final = 8
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Mind:
    """What knows and learns: the models of an agent.

    Attributes:
        graph: the agent's name.
        fallbacks: the models to ask when the first one can't be used.
        memory: the agent's policy.
        active_rules: the agent follows the rules that are active for it.
    """

    graph: str
    model: ModelSource
    fallbacks: FallbackSource
    memory: Memory = True
    active_rules: bool = True


@dataclass(frozen=True, slots=True)
class Learnt:
    """What came of one turn.

    Attributes:
        facts: those that hold now and did not before.
        spent: what the attempt took.
        error: why nothing could be learnt; None where it went well.
    """

    run_id: str
    thread_id: str
    facts: tuple[str, ...] = ()
    spent: Spent = field(default_factory=Spent)
    error: str | None = None


class _LostError(BoringError):
    """Another worker has taken the turn, or its user is forgotten."""


class _SpentError(TransientError):
    """What the model wrote can't be used, and had its price."""

    def __init__(self, message: str, spent: Spent) -> None:
        super().__init__(message)
        self.spent = spent


async def learn_next(mind: Mind, wanted: Wanted) -> Learnt | None:
    """Learn from the oldest turn that is due; None where there is none.

    A failure is recorded with the turn, which is tried again later.

    Raises:
        DatabaseError: the database is away.
    """
    database, worker = await (await current_process()).database(), (await current_worker()).id
    turn = await claimed(database, worker, wanted)
    if turn is None:
        return None
    try:
        return await _learnt(turn, mind, database, worker)
    except asyncio.CancelledError:
        await _let_go(database, turn, worker)
        raise
    except Exception as error:  # noqa: BLE001 - whatever went wrong is on record, and the turn is kept
        return await _failed(turn, error, database, worker)


async def _learnt(turn: Extraction, mind: Mind, database: Database, worker: str) -> Learnt:
    policy = await policy_of(mind.memory) or MemoryPolicy()
    whose = {names.TENANT: turn.tenant, names.USER: turn.user, names.CONVERSATION: turn.thread_id}
    async with step_afterwards("learn", agent=turn.graph, run_id=turn.run_id, whose=whose):
        facts, spent = await _facts(turn, mind, policy, database)
    kept = facts[: policy.max_facts]
    held = await unless_overtaken(lambda: _settled(turn, kept, spent, database, worker))
    return Learnt(turn.run_id, turn.thread_id, tuple(str(one.value["text"]) for one in held), spent)


async def _settled(
    turn: Extraction, facts: Sequence[Fact], spent: Spent, database: Database, worker: str
) -> list[NewItem]:
    """Remember facts, and record that the turn is learnt from."""
    made = Origin(turn.tenant, turn.user, turn.thread_id or None, turn.run_id)
    items = [await fact_item(one.text, one.subject, origin=_origin(made, one)) for one in facts]
    async with as_tenant(database, turn.tenant) as connection:
        await pass_gate(connection, turn.tenant, turn.user)
        held = await settle(connection, turn.tenant, items)
        await connection.execute("reset role")  # the rest of the transaction is about the run
        if not await finish(connection, turn.run_id, worker, learnt=len(held), spent=spent):
            raise _LostError(
                f"The run {turn.run_id} is forgotten, or another worker learns from it; nothing is learnt."
            )
        return held


def _origin(made: Origin, fact: Fact) -> Origin:
    return Origin(made.tenant, made.user, made.thread_id, made.run_id, fact.message_id, trusted=fact.trusted)


async def _facts(
    turn: Extraction, mind: Mind, policy: MemoryPolicy, database: Database
) -> tuple[list[Fact], Spent]:
    form = facts_form(policy.max_facts)
    known = await _known(turn, database)
    models = [mind.model, *(await mind.fallbacks())]
    planned = await Line(models, await current_breakers()).plan(asking(turn.messages, known, form))
    spent = spent_on(planned, turn.messages)
    try:
        return extracted(planned, turn.messages, known, form), spent
    except TransientError as error:
        raise _SpentError(str(error), spent) from error


async def _known(turn: Extraction, database: Database) -> list[tuple[str, str]]:
    """Return the subjects nearest to what the user said, with what is known. Looking counts as no use."""
    said = asked_text(" ".join(one.text for one in turn.messages if one.by == "user"))
    if not said.strip():
        return []
    op = SearchOp(user_namespace(turn.user, "fact"), limit=_MOST_KNOWN, query=said, refresh_ttl=False)

    async def search(meant: Mapping[str, Asked]) -> list[DictRow]:
        return await found_alone(database, turn.tenant, op, meant[said])

    rows = await answered(turn.tenant, [said], search)
    told = [(row["value"].get("subject"), row["value"].get("text")) for row in rows]
    return [(one, text) for one, text in told if isinstance(one, str) and isinstance(text, str)]


async def _failed(turn: Extraction, error: Exception, database: Database, worker: str) -> Learnt:
    spent = error.spent if isinstance(error, _SpentError) else Spent()
    why = str(error) if isinstance(error, BoringError) else named_error(error)
    _log.warning("Nothing could be learnt from the run %s: %s", turn.run_id, why)
    if not isinstance(error, _LostError):
        await put_back(database, turn.run_id, worker, error=why, spent=spent, delay_s=RETRY_S)
    return Learnt(turn.run_id, turn.thread_id, spent=spent, error=why)


async def _let_go(database: Database, turn: Extraction, worker: str) -> None:
    """Give the turn back; where that fails, it is free once this worker is gone."""
    try:
        async with asyncio.timeout(_LETTING_GO_S):
            await let_go(database, turn.run_id, worker)
    except (psycopg.Error, TimeoutError) as error:
        _log.warning("The turn of the run %s could not be given back: %s", turn.run_id, named_error(error))
