"""What people decide of a request for approval: agree, change the arguments, reject, answer themselves."""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg
from jsonschema.validators import validator_for
from psycopg import AsyncConnection
from psycopg.rows import DictRow

from core.database import Database
from core.errors import BoringError, InputError
from core.text import storable, storable_text
from guardrails.chain import Agreement, NotAllowedError, Roles, agreed, level_for
from memory.approvals import ApprovalRow, hash_of, locked_approval, overtaken_approval, time_of
from memory.rules_learning import learn_from_edits
from observability.signals import note_signal
from tools.inbox import NEW_MESSAGE, NO_PERSONS, Event, as_json, chain_of, change, standing
from tools.questions import UNKNOWN, ApprovalAnswer, Decision, whats_unstorable

_log = logging.getLogger(__name__)
_MAY_BE_READ = {"type", "anyOf"}
"""What a text from a form's field breaks although the tool can read it: the contract looks at it later."""


class DecisionRefusedError(InputError):
    """A decision does not count: who made it may not, or the request is not what it was."""


@dataclass(frozen=True, slots=True)
class Decided:
    """A decision of one request.

    Attributes:
        approval_id: the request.
        decision: what is decided.
        by: who decides.
        arguments_hash: of the arguments that they were shown.
        attempt: the run's question that it answers, where it was made in answer to one.
    """

    approval_id: UUID
    decision: Decision
    by: str
    arguments_hash: str
    attempt: int | None = None


async def decide(  # noqa: PLR0913 - each is a part of a decision, and all are named at the call
    database: Database,
    approval_id: UUID,
    decision: Decision,
    *,
    by: str,
    arguments_hash: str,
    roles: Roles | None = None,
) -> ApprovalRow:
    """Record a decision. A request that is not `open` afterwards is to be resumed by whoever made it.

    Args:
        database: holds the request.
        approval_id: the request.
        decision: what is decided.
        by: who decides. Nobody checks the name here: a server in front has to.
        arguments_hash: of the arguments that they were shown.
        roles: who has which role now; unset, who had when the request was made.

    Raises:
        DecisionRefusedError: it does not count, and nothing has changed.
    """
    (row,) = await decide_all(database, [Decided(approval_id, decision, by, arguments_hash)], roles=roles)
    return row


async def decide_all(
    database: Database, decided: Sequence[Decided], *, roles: Roles | None = None
) -> list[ApprovalRow]:
    """Record several decisions, all or none of them.

    Raises:
        DecisionRefusedError: one of them does not count, and nothing has changed.
    """
    decided = [_storable(one) for one in decided]
    for one in decided:
        await standing(database, one.approval_id)
    async with database.pool.connection() as connection, connection.transaction():
        for approval_id in sorted({one.approval_id for one in decided}):
            await locked_approval(connection, approval_id)
        rows = [await _decided(connection, one, roles) for one in decided]
    for row in rows:
        if row.status == "edited":
            await _learn(database, row)
    return rows


async def _learn(database: Database, row: ApprovalRow) -> None:
    """Propose what can be learnt from changed arguments, and note that they were changed.

    The decision stands, whatever becomes of that.
    """
    try:
        await note_signal(database, row.run_id, "edited_approval")
        await learn_from_edits(database, approval_id=str(row.id))
    except (BoringError, psycopg.Error):
        _log.exception(
            "No rule was proposed from the change of request %s. Make up for it: boring rules learn", row.id
        )


def _storable(one: Decided) -> Decided:
    """Return a decision whose words can be stored: a run that can't take up its answer never goes on."""
    decision = Decision.model_validate(storable(one.decision.model_dump()))
    return replace(
        one,
        decision=decision,
        by=storable_text(one.by),
        arguments_hash=storable_text(one.arguments_hash),
    )


async def _decided(connection: AsyncConnection[DictRow], one: Decided, roles: Roles | None) -> ApprovalRow:
    row = await locked_approval(connection, one.approval_id)
    now = await time_of(connection)
    if row is None:
        raise DecisionRefusedError(f"There is no request {one.approval_id}.")
    _check_open(row, one, now)
    if await overtaken_approval(connection, row.id) is not None:
        raise _overtaken(row)
    chain, who = chain_of(row), one.by.strip()
    known = row.roles if roles is None else {**row.roles, **roles}
    try:
        index = level_for(chain, who, requester=row.requester, roles=known)
    except NotAllowedError as error:
        raise DecisionRefusedError(f"The decision of request {row.id} does not count: {error}.") from None
    if who in NO_PERSONS:
        raise DecisionRefusedError(
            f"Nobody can decide as {who!r}: so the record calls what no person has decided."
        )
    level = chain.levels[index]
    who, role = who or UNKNOWN, level.level.role
    said = one.decision.message
    match one.decision.type:
        case "approve":
            after = agreed(chain, index, Agreement(who, now, row.arguments_hash), now=now)
            status = "approved" if after.is_agreed else "open"
            changed = replace(row, chain=as_json(after), status=status)
        case "edit":
            arguments = _edited(row, one.decision)
            edit = {"arguments": arguments, "by": who, "role": role, "before": list(level.before)}
            changed = replace(row, status="edited", edit=edit, note=None)
        case "reject":
            changed = replace(row, status="denied", result=said)
        case "respond":
            changed = replace(row, status="answered", result=said)
    if changed.status != "open":
        changed = replace(changed, settled_by=who)
    answer = ApprovalAnswer(decisions=[one.decision], by=who).model_dump()
    event = Event(one.decision.type, who, role)
    return await change(connection, row, changed, [event], answer=answer, attempt=one.attempt)


def _overtaken(row: ApprovalRow) -> DecisionRefusedError:
    return DecisionRefusedError(
        f"The request {row.id} was overtaken by a new message in the thread {row.thread_id}: its call is not "
        "made any more, and no decision of it counts."
    )


def _check_open(row: ApprovalRow, one: Decided, now: datetime) -> None:
    if row.settled_by == NEW_MESSAGE:
        raise _overtaken(row)
    if row.status == "edited":
        raise DecisionRefusedError(
            f"The arguments of request {row.id} were changed by {(row.edit or {}).get('by')}, and its run "
            f"has to look at them first. Go on with it: boring resume {row.thread_id}"
        )
    if row.status != "open":
        raise DecisionRefusedError(f"The request {row.id} is {row.status} already, by {row.settled_by}.")
    if one.arguments_hash != row.arguments_hash:
        raise DecisionRefusedError(
            f"The decision of request {row.id} is about other arguments, with the hash {one.arguments_hash}."
            f" They are {json.dumps(row.arguments, ensure_ascii=False)} now, with the hash"
            f" {row.arguments_hash}."
        )
    if row.expires_at is not None and row.expires_at <= now:
        raise DecisionRefusedError(f"The time to decide request {row.id} is over.")


def _edited(row: ApprovalRow, decision: Decision) -> dict[str, Any]:
    """Return the new arguments.

    A form shows all values as text. So text for an argument that was none is read as JSON, where it is that.

    Raises:
        DecisionRefusedError: they are for another tool, or not what the tool takes.
    """
    action = decision.edited_action
    if action is None or action.name != row.tool:
        raise DecisionRefusedError(
            f"Request {row.id} is about {row.tool}; a call of another tool needs its own."
        )
    arguments = {name: _read(value, row.arguments.get(name)) for name, value in action.args.items()}
    validator = validator_for(row.arguments_schema)(row.arguments_schema)
    wrong = [
        f"{'.'.join(map(str, error.absolute_path)) or 'arguments'}: {error.message}"
        for error in validator.iter_errors(arguments)
        if not (error.validator in _MAY_BE_READ and isinstance(error.instance, str))
    ]
    unknown = set(arguments) - set(row.arguments_schema.get("properties", arguments))
    wrong += [f"{name}: there is no such argument" for name in sorted(unknown)]
    if wrong:
        raise DecisionRefusedError(f"The arguments for {row.tool} are not valid: {'; '.join(wrong)}")
    if hash_of(arguments) == row.arguments_hash:
        raise DecisionRefusedError(f"The arguments for {row.tool} are as before; approve them instead.")
    return arguments


def _read(value: Any, before: Any) -> Any:
    if not isinstance(value, str) or before is None or isinstance(before, str):
        return value
    try:
        read = json.loads(value)
    except (ValueError, RecursionError):
        return value
    return value if whats_unstorable(read) else read
