"""Questions of a run to a person, as the command line shows them and takes their answers."""

from __future__ import annotations

import json
import os
import pwd
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, cast

from core.errors import InputError
from core.text import storable, storable_text

if TYPE_CHECKING:
    from langgraph.types import Interrupt

    from core.state import QuestionKind


class Reply(StrEnum):
    """What may be answered: to a call in doubt the first three, to a request for approval the last two."""

    HAPPENED = "happened"
    NOT_HAPPENED = "not-happened"
    STOP = "stop"
    APPROVE = "approve"
    REJECT = "reject"


_OF_KIND = {
    "in_doubt": (Reply.HAPPENED, Reply.NOT_HAPPENED, Reply.STOP),
    "approval": (Reply.APPROVE, Reply.REJECT),
}
_HELD: Final[Mapping[str, frozenset[str]]] = {
    "in_doubt": frozenset({"question", "arguments"}),
    "approval": frozenset({"action_requests", "approval"}),
}
"""What questions of ours hold, by their kind."""


@dataclass(frozen=True, slots=True)
class Asked:
    """An open question.

    Attributes:
        id: of its interrupt.
        kind: `in_doubt` or `approval`; another one comes from a tool of the user's own.
        text: what is asked, in a sentence.
        arguments: of the call, as JSON.
        request: the request for approval that it is about; empty where anybody may answer.
    """

    id: str
    kind: str
    text: str
    arguments: str
    request: str = ""

    @property
    def replies(self) -> tuple[Reply, ...]:
        """What may be answered."""
        return _OF_KIND.get(self.kind, ())

    def commands(self, thread_id: str, options: str = "") -> list[str]:
        """Return the commands that answer it.

        Args:
            thread_id: of the run.
            options: of `boring resume`, such as `--graph`.
        """
        if self.request:
            return [f"boring approvals {reply} {self.request[:8]} --by NAME" for reply in self.replies]
        return [f"boring resume {thread_id}{options} --answer {reply}" for reply in self.replies]


def asked(interrupt: Interrupt) -> Asked:
    """Return an interrupt as a question."""
    payload: dict[str, Any] = interrupt.value if isinstance(interrupt.value, dict) else {}
    kind = str(payload.get("kind", "other"))
    if not payload.keys() >= _HELD.get(kind, frozenset()):  # of a graph of the user's own, in another form
        kind = "other"
    if kind == "approval":
        action = payload["action_requests"][0]
        refused = f" {payload['refused']}" if "refused" in payload else ""
        text = f"May {action['name']} be called? {action['description']}{refused}"
        about = payload["approval"]
        request = str(about["id"]) if about["levels"] else ""
        return Asked(interrupt.id, kind, text, json.dumps(action["args"], ensure_ascii=False), request)
    if kind == "in_doubt":
        arguments = json.dumps(payload["arguments"], ensure_ascii=False)
        return Asked(interrupt.id, kind, str(payload["question"]), arguments)
    return Asked(interrupt.id, kind, str(interrupt.value), "")


@dataclass(frozen=True, slots=True)
class Said:
    """What the user answers to a question of the run.

    Attributes:
        reply: what is answered: a word, or JSON in the form that the question asks for.
        words: the result of a call that happened, or why it is rejected.
        question: the beginning of the question's id, where there are several.
        by: who answers.
    """

    reply: Reply | Mapping[str, Any]
    words: str
    question: str | None
    by: str


def reply_of(text: str) -> Reply | dict[str, Any]:
    """Return what `--answer` says: one of the words, or a JSON object.

    Raises:
        InputError: it is neither.
    """
    if text in list(Reply):
        return Reply(text)
    try:
        given = json.loads(text)
    except ValueError:
        given = None
    except RecursionError as error:
        raise InputError("--answer is JSON that is nested too deep. Give less.") from error
    if isinstance(given, dict):
        return cast("dict[str, Any]", given)
    form = '{"decisions": [{"type": "approve"}]}'
    raise InputError(f"--answer is {text!r}. Answers are: {', '.join(Reply)}, or JSON such as '{form}'.")


def account_name() -> str:
    """Return the name of the account that this process runs under, or its number where it has no name."""
    number = os.geteuid()
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"uid {number}"


def answer_to(questions: Sequence[Asked], said: Said) -> dict[str, Any]:
    """Return the answer to one of the open questions, by the id of its interrupt.

    Raises:
        InputError: nothing is asked, or it is not clear which question is meant, or the reply does not fit.
    """
    meant = [one for one in questions if one.id.startswith(said.question or "")]
    if not questions:
        raise InputError("This thread waits for no answer. `boring resume THREAD` goes on with it.")
    if len(meant) != 1:
        ids = ", ".join(one.id[:8] for one in questions)
        raise InputError(f"{len(meant)} open questions are meant; name one by --question. They are: {ids}.")
    one, reply = meant[0], said.reply
    words, by = storable_text(said.words), storable_text(said.by)
    if not one.replies or (isinstance(reply, Reply) and reply not in one.replies):
        allowed = ", ".join(one.replies) or "none: answer it from Python"
        raise InputError(f"{reply} is no answer to {one.text!r}. Answers are: {allowed}.")
    if not isinstance(reply, Reply):
        return {one.id: _checked(one, {"by": by, **reply})}
    if one.kind == "approval":
        return {one.id: {"decisions": [{"type": reply.value, "message": words}], "by": by}}
    return {one.id: {"outcome": reply.value.replace("-", "_"), "result": words, "by": by}}


def _checked(question: Asked, answer: Mapping[str, Any]) -> dict[str, Any]:
    """Return an answer in JSON if it has the form that the question asks for.

    Raises:
        InputError: it has not; the message says where.
    """
    from pydantic import ValidationError  # noqa: PLC0415 - loaded where an answer is JSON

    from tools.questions import ALLOWED, ANSWERS, whats_wrong  # noqa: PLC0415 - as above

    form = ANSWERS[cast("QuestionKind", question.kind)]
    try:
        return storable(form.model_validate(answer).model_dump())
    except ValidationError as error:
        raise InputError(
            f"--answer can't be taken: {whats_wrong(error)}. Allowed is {ALLOWED[form]}."
        ) from error
