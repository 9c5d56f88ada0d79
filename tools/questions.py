"""What is asked of a person: whether a call may be made, and whether a call in doubt has happened.

A question is named by its action and the attempt at it. It is asked once: the answer is kept in Postgres, and
whoever comes by later, in whatever process, finds it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, cast

from psycopg import AsyncConnection
from psycopg.rows import DictRow
from psycopg.types.json import Jsonb
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from core.database import Database
from core.state import OpenQuestion, QuestionKind
from core.text import DEEPEST, MAX_BITS, storable, storable_text
from memory.runs import mark_run

_ASK = """
insert into boring.question (key, kind, attempt, thread_id, run_id, payload)
values (%(key)s, %(kind)s, %(attempt)s, %(thread_id)s, %(run_id)s, %(payload)s)
on conflict (key, kind, attempt) do nothing
"""
_ANSWER = """
update boring.question set answer = %(answer)s, answered_by = %(by)s, answered_at = now()
where key = %(key)s and kind = %(kind)s and attempt = %(attempt)s and answer is null
returning run_id
"""
_FIND = "select answer, answered_by from boring.question where key = %s and kind = %s and attempt = %s"


class InDoubtAnswer(BaseModel):
    """What a person says of a call that may or may not have happened."""

    model_config = ConfigDict(extra="forbid")

    outcome: Literal["happened", "not_happened", "stop"] = Field(
        description="happened: it is not made again. not_happened: it is made now. stop: the run ends."
    )
    result: str = Field(default="", description="What the call would have returned, where it happened.")
    by: str = Field(default="", description="Who answers; unset, it is recorded as unknown.")


class EditedAction(BaseModel):
    """The call as somebody would have it made."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(description="The tool, the same as in the request.")
    args: dict[str, Any] = Field(description="All of its arguments.")

    @field_validator("args")
    @classmethod
    def _can_be_stored(cls, args: dict[str, Any]) -> dict[str, Any]:
        if why := whats_unstorable(args):
            raise ValueError(why)
        return args


class Decision(BaseModel):
    """What a person decides of one call that waits for approval.

    Source: `Decision` of LangChain's human-in-the-loop middleware, which Agent Chat UI speaks.
    """

    model_config = ConfigDict(extra="forbid")

    type: Literal["approve", "edit", "reject", "respond"]
    message: str = Field(
        default="",
        description="Why it is rejected, or what is answered in the tool's stead; the model reads it.",
    )
    edited_action: EditedAction | None = Field(default=None, description="Only for `edit`.")

    @model_validator(mode="after")
    def _is_whole(self) -> "Decision":
        if (self.type == "edit") != (self.edited_action is not None):
            raise ValueError("edited_action belongs to a decision of the type edit, and to no other")
        if self.type == "respond" and not self.message.strip():
            raise ValueError("respond needs a message: it is what the model gets as the tool's result")
        return self


class ApprovalAnswer(BaseModel):
    """The answer to a request for approval, in the form that Agent Chat UI sends."""

    model_config = ConfigDict(extra="forbid")

    decisions: Annotated[list[Decision], Field(min_length=1, max_length=1)]
    by: str = Field(default="", description="Who decides; unset, it is recorded as unknown.")


Answer = InDoubtAnswer | ApprovalAnswer
ANSWERS: Mapping[QuestionKind, type[Answer]] = {
    "in_doubt": InDoubtAnswer,
    "approval": ApprovalAnswer,
}
ALLOWED: Mapping[type[Answer], str] = {
    InDoubtAnswer: '{"outcome": "happened", "not_happened" or "stop", "result": text, "by": name}',
    ApprovalAnswer: (
        '{"decisions": [{"type": "approve", "edit", "reject" or "respond", "message": text, '
        '"edited_action": {"name": tool, "args": arguments}}], "by": name}'
    ),
}
"""The answers in the words of JSON, for messages. What a decision does not need may be left out, and `by`."""
UNKNOWN = "unknown"
"""Who answered, where the answer does not say. Never the user of the run: that is who asked for the call."""


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer as it was given.

    Attributes:
        answer: an `InDoubtAnswer` or `ApprovalAnswer`, as the kind of question asks for.
        by: who gave it.
    """

    answer: Answer
    by: str


def form_of(schema: object) -> type[Answer] | None:
    """Return the type that an interrupt's schema was made of, or None for a question that is not ours."""
    title = cast("Mapping[str, object]", schema).get("title") if isinstance(schema, Mapping) else None
    return next((form for form in ANSWERS.values() if form.__name__ == title), None)


def whats_wrong(error: ValidationError) -> str:
    """Return where an answer differs from its form, without what it held."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    places = [(".".join(map(str, one["loc"])), one["msg"]) for one in found]
    return "; ".join(f"{place}: {message}" if place else message for place, message in places)


def whats_unstorable(value: object) -> str | None:
    """Return why JSON-like data can't be kept with a run, or None where it can."""
    level: list[object] = [value]
    for _ in range(DEEPEST):
        if any(isinstance(one, int) and one.bit_length() > MAX_BITS for one in level):
            return f"an integer has more than {MAX_BITS} bits; give a smaller one, or the digits as text"
        level = [inner for one in level for inner in _within(one)]
        if not level:
            return None
    return f"it is nested more than {DEEPEST} deep; give less"


def _within(value: object) -> Iterable[object]:
    if isinstance(value, Mapping):
        return cast("Mapping[object, object]", value).values()
    return cast("Sequence[object]", value) if isinstance(value, (list, tuple)) else ()


def in_doubt_payload(
    tool: str, arguments: Mapping[str, Any], *, intended_at: str, reason: str
) -> dict[str, Any]:
    """Return what a person is shown of a call in doubt."""
    return {
        "kind": "in_doubt",
        "question": f"Did the call of {tool} happen? {reason}",
        "tool": tool,
        "arguments": storable(dict(arguments)),
        "intended_at": intended_at,
    }


def words_of(payload: Mapping[str, Any]) -> str:
    """Return what a person is asked, as a sentence."""
    if payload["kind"] == "in_doubt":
        return str(payload["question"])
    action = payload["action_requests"][0]
    return f"May {action['name']} be called? {action['description']}"


async def ask(
    connection: AsyncConnection[DictRow], question: OpenQuestion, *, thread_id: str, run_id: str
) -> None:
    """Record that a question is open, in an open transaction."""
    values = {
        "key": question["key"],
        "kind": question["kind"],
        "attempt": question["attempt"],
        "thread_id": thread_id,
        "run_id": run_id,
        "payload": Jsonb(question["payload"]),
    }
    await connection.execute(_ASK, values)


async def find_answer(database: Database, key: str, kind: QuestionKind, attempt: int) -> Answered | None:
    """Return the answer to a question, or None where there is none yet."""
    async with database.pool.connection() as connection:
        row = await (await connection.execute(_FIND, (key, kind, attempt))).fetchone()
    if row is None or row["answer"] is None:
        return None
    return Answered(ANSWERS[kind].model_validate(row["answer"]), row["answered_by"])


async def keep_answer(database: Database, question: OpenQuestion, answer: Answer) -> None:
    """Record the answer to a question, and that its run goes on; the first answer counts."""
    values = {
        "key": question["key"],
        "kind": question["kind"],
        "attempt": question["attempt"],
        "answer": Jsonb(storable(answer.model_dump())),
        "by": storable_text(answer.by).strip() or UNKNOWN,
    }
    async with database.pool.connection() as connection, connection.transaction():
        found = await (await connection.execute(_ANSWER, values)).fetchone()
        if found is not None:
            await mark_run(connection, found["run_id"], "running")
