"""What a model has planned, in the words of its decision: to answer, or the names of the tools to call."""

import json
import re
from typing import Final

ANSWER: Final = "answer"
_PLAIN: Final = re.compile(r"[^\s,\"]+")
_ONE: Final = re.compile(r"\"(?:[^\"\\]|\\.)*\"|[^\s,][^,]*")


def choice_called(name: str) -> str:
    """Return a tool's name as it can stand among others; in quotes if it would be taken for something else.

    A model can make up a name: that of an answer, or one that reads like two.
    """
    return name if _PLAIN.fullmatch(name) and name != ANSWER else json.dumps(name, ensure_ascii=False)


def names_in(choice: str) -> set[str]:
    """Return the names that a choice is of; those in quotes as they stand there."""
    return set(_ONE.findall(choice))
