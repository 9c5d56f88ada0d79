"""Questions of a run to a person, as the command line shows them and takes their answers."""

from __future__ import annotations

import json
import os
import pwd
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from core.errors import InputError

if TYPE_CHECKING:
    from langgraph.types import Interrupt


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


@dataclass(frozen=True, slots=True)
class Asked:
    """An open question.

    Attributes:
        id: of its interrupt.
        kind: `in_doubt` or `approval`; another one comes from a tool of the user's own.
        text: what is asked, in a sentence.
        arguments: of the call, as JSON.
    """

    id: str
    kind: str
    text: str
    arguments: str

    @property
    def replies(self) -> tuple[Reply, ...]:
        """What may be answered."""
        return _OF_KIND.get(self.kind, ())


def asked(interrupt: Interrupt) -> Asked:
    """Return an interrupt as a question."""
    payload: dict[str, Any] = interrupt.value if isinstance(interrupt.value, dict) else {}
    kind = str(payload.get("kind", "other"))
    if kind == "approval":
        action = payload["action_requests"][0]
        refused = f" {payload['refused']}" if "refused" in payload else ""
        text = f"May {action['name']} be called? {action['description']}{refused}"
        return Asked(interrupt.id, kind, text, json.dumps(action["args"], ensure_ascii=False))
    if kind == "in_doubt":
        arguments = json.dumps(payload["arguments"], ensure_ascii=False)
        return Asked(interrupt.id, kind, str(payload["question"]), arguments)
    return Asked(interrupt.id, kind, str(interrupt.value), "")


@dataclass(frozen=True, slots=True)
class Said:
    """What the user answers to a question of the run.

    Attributes:
        reply: what is answered.
        words: the result of a call that happened, or why it is rejected.
        question: the beginning of the question's id, where there are several.
        by: who answers.
    """

    reply: Reply
    words: str
    question: str | None
    by: str


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
    one = meant[0]
    if said.reply not in one.replies:
        allowed = ", ".join(one.replies) or "none: answer it from Python"
        raise InputError(f"{said.reply} is no answer to {one.text!r}. Answers are: {allowed}.")
    if one.kind == "approval":
        return {one.id: {"decisions": [{"type": said.reply.value, "message": said.words}], "by": said.by}}
    return {one.id: {"outcome": said.reply.value.replace("-", "_"), "result": said.words, "by": said.by}}
