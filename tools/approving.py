"""Whether a call may be made: what its contract asks for, and what people have decided."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from core.database import Database
from core.errors import ConfigurationError
from core.settings import settings
from core.state import OpenQuestion
from guardrails.approval import Demand, chains_of, demanded
from guardrails.chain import Agreement, Roles, begun, credited, unreachable
from guardrails.roles import check_policy
from memory.approvals import ApprovalRow, NewApproval, approval_by_key, hash_of, locked_approval, time_of
from tools.actions import Action
from tools.approval_form import approval_payload
from tools.contract import Tool
from tools.inbox import (
    NO_PERSONS,
    Asked,
    Event,
    as_json,
    chain_of,
    change,
    new_request,
    now_of,
    roles_of,
    standing,
    take_up,
)
from tools.records import Outcome
from tools.validating import validated

_RUN = "run"
"""Who takes a settled request up where nobody has claimed that."""


@dataclass(frozen=True, slots=True)
class Approved:
    """A call that may be made.

    Attributes:
        arguments: of the call; others than the model's where somebody changed them.
        values: the same, as the tool takes them.
        by: who approved; None where nobody had to.
        edited_by: who changed the arguments.
        note: what the model has to know of it.
    """

    arguments: Mapping[str, Any]
    values: Mapping[str, Any]
    by: str | None = None
    edited_by: str | None = None
    note: str = ""

    def told(self, outcome: Outcome) -> Outcome:
        """Return what came of the call, with who approved it and what was changed of it."""
        told = replace(outcome, text=self.note + outcome.text, approved_by=self.by)
        return replace(told, arguments=self.arguments, edited_by=self.edited_by) if self.edited_by else told


@dataclass(frozen=True, slots=True)
class Asking:
    """What has to be asked.

    Attributes:
        question: for the run.
        request: for the inbox, where it is not there yet.
    """

    question: OpenQuestion
    request: NewApproval | None


@dataclass(frozen=True, slots=True)
class Asker:
    """For whom a call is made, and who could approve it.

    Attributes:
        user: of the run; never an approver of a level.
        tenant: of the run.
        roles: who has which role.
    """

    user: str
    tenant: str
    roles: Roles


def checked_roles(tools: Sequence[Tool], roles: Roles | None) -> Roles:
    """Return who has which role, after a look whether the policies of all tools can be fulfilled.

    Args:
        tools: with their policies.
        roles: unset, those of the settings, which are read only where a policy asks for a role.

    Raises:
        ConfigurationError: a policy names a role that nobody has, or wants more people than have it.
    """
    if roles is None:
        roles = settings().roles if any(chains_of(tool.approval) for tool in tools) else {}
    for role, people in roles.items():
        if isinstance(people, str):
            raise ConfigurationError(
                f"role {role!r} is given to {people!r}, a text; name the people in a list: [{people!r}]."
            )
    for tool in tools:
        names = [name for name in tool.arguments.model_fields if name not in tool.injected]
        check_policy(tool.name, tool.approval, roles=roles, arguments=names)
    return roles


async def approved(
    tool: Tool, values: Mapping[str, Any], action: Action, *, database: Database, asker: Asker
) -> Approved | Outcome | Asking:
    """Return that a call may be made, that it is not made and what the model is told, or what to ask.

    The decision is bound to the action, and so to exactly these arguments, or those that were put in.
    """
    demand = demanded(tool.approval, values)
    if demand is None:
        return Approved(action.arguments, values)
    row = await approval_by_key(database, action.key)
    if row is None:
        if (refusal := _refusal(tool, demand, asker)) is not None:
            return Outcome("rejected", refusal, key=action.key)
        asked = Asked(action, demand, tool.arguments_schema(), asker.user, asker.tenant, asker.roles)
        request = new_request(asked, await now_of(database))
        return Asking(_question(action, request), request)
    if row.settled_at is None:
        row = await standing(database, row.id) or row
    if row.status == "edited":
        row = await _looked_at(database, row, tool, asker)
    if row.status == "open":
        return Asking(_question(action, row), None)
    if row.resumed_at is None:
        await take_up(database, row.id, _RUN)
    return _settled(tool, row)


def _settled(tool: Tool, row: ApprovalRow) -> Approved | Outcome:
    if row.status == "answered":
        return Outcome("ok", row.result or "", key=row.key, approved_by=row.settled_by)  # the tool is not run
    if row.status == "denied":
        text = f"{row.settled_by} rejected this call of {row.tool}{f': {row.result}' if row.result else ''}"
        person = None if row.settled_by in NO_PERSONS else row.settled_by
        return Outcome("rejected", text, key=row.key, settled_by=person)
    values = validated(tool, row.arguments)
    chain = chain_of(row)
    hashes = {row.arguments_hash, *(one.arguments_hash for level in chain.levels for one in level.agreed)}
    if isinstance(values, str) or hashes != {hash_of(row.arguments)} or not chain.is_agreed:
        why = values if isinstance(values, str) else "Its arguments are not those that were approved."
        return Outcome("rejected", f"This call of {row.tool} was not made. {why}", key=row.key)
    people = [one.by for level in chain.levels for one in level.agreed]
    by = ", ".join(dict.fromkeys(people)) or row.settled_by
    if row.edit is None:
        return Approved(row.arguments, values, by)
    told = json.dumps(row.arguments, ensure_ascii=False)
    editor = row.edit["by"]
    note = f"{editor} changed the arguments of this call; it was made with {told}.\n"
    return Approved(row.arguments, values, by, editor, note)


async def _looked_at(database: Database, row: ApprovalRow, tool: Tool, asker: Asker) -> ApprovalRow:
    """Look at arguments that somebody put in: whether they are valid, and who has to agree to them now."""
    async with database.pool.connection() as connection, connection.transaction():
        locked = await locked_approval(connection, row.id)
        if locked is None or locked.status != "edited" or locked.edit is None:
            return locked or row
        edit = locked.edit
        values = validated(tool, edit["arguments"])
        demand = None if isinstance(values, str) else demanded(tool.approval, values)
        wrong = values if isinstance(values, str) else demand and _refusal(tool, demand, asker)
        if wrong:
            after = replace(locked, status="open", edit=None, note=wrong, settled_by=None)
            return await change(connection, locked, after, [Event("refuse", edit["by"], edit["role"])])
        now = await time_of(connection)
        demand = demand or Demand(locked.reason)
        sealed = hash_of(edit["arguments"])
        chain = begun(demand, now)
        agreement, before = Agreement(edit["by"], now, sealed), edit.get("before", ())
        chain = credited(chain, edit["role"], agreement, before=before, now=now)
        after = replace(
            locked,
            arguments=edit["arguments"],
            arguments_hash=sealed,
            reason=demand.reason,
            chain=as_json(chain),
            roles={**locked.roles, **roles_of(demand, asker.roles)},
            status="approved" if chain.is_agreed else "open",
            settled_by=edit["by"] if chain.is_agreed else None,
        )
        return await change(connection, locked, after, [Event("renew", edit["by"], edit["role"])])


def _refusal(tool: Tool, demand: Demand, asker: Asker) -> str | None:
    """Return why a demand can't be fulfilled; a policy that tells its levels was looked at beforehand."""
    unknown = [role for level in demand.levels for role in level.roles if role not in asker.roles]
    if unknown:
        return f"{tool.name} needs approval by the role {unknown[0]!r}, which nobody has."
    level = unreachable(demand.levels, requester=asker.user, roles=asker.roles)
    if level is None:
        return None
    return (
        f"{tool.name} needs approval by {level.quorum} of the role {level.role!r} other than {asker.user}, "
        "and there are not so many."
    )


def _question(action: Action, request: NewApproval) -> OpenQuestion:
    attempt = request.version if isinstance(request, ApprovalRow) else 1
    return OpenQuestion(
        call_id=action.call_id,
        key=action.key,
        kind="approval",
        attempt=attempt,
        payload=approval_payload(request, attempt=attempt),
    )
