"""Real questions with the facts that a right answer holds."""

import json
import re
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

QUESTIONS = Path(__file__).parent / "questions.json"


class Question(BaseModel):
    """One question of a data set.

    Attributes:
        question: as a user would ask it.
        facts: groups of regular expressions; a right answer matches at least one of every group.
        source: the documents of which one has to be cited, separated by `|`; None where none is needed.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    question: str
    facts: list[list[str]] = Field(min_length=1)
    source: str | None

    def is_right(self, answer: str) -> bool:
        """Tell whether an answer holds all facts, whatever the case of its letters."""
        return all(any(re.search(fact, answer, re.IGNORECASE) for fact in group) for group in self.facts)

    def is_cited(self, sources: list[str]) -> bool:
        """Tell whether one of the documents that hold the answer is among the cited ones."""
        return self.source is None or any(source in sources for source in self.source.split("|"))


def load_questions(path: Path = QUESTIONS) -> list[Question]:
    """Read a data set.

    Raises:
        pydantic.ValidationError: an entry is not a question.
    """
    return [Question.model_validate(entry) for entry in json.loads(path.read_text(encoding="utf-8"))]
