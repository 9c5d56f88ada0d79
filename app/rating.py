"""Feedback as it is taken in from people: kept, sent on, and offered to the rules."""

import logging
from dataclasses import dataclass
from typing import Final

from memory.rules import Rule, RuleRefusedError
from memory.rules_learning import learn_from_feedback
from observability.feedback import Feedback, NewFeedback
from observability.rating import give_feedback

BAD: Final = 0.5
"""A comment proposes a rule with a score below this one."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Rated:
    """What came of feedback.

    Attributes:
        rule: what its comment proposes; None if it proposes none.
        refused: why no rule was proposed of a comment that could have.
    """

    feedback: Feedback
    rule: Rule | None = None
    refused: str = ""


async def rate(tenant: str, new: NewFeedback) -> Rated:
    """Take in what somebody says of a run; the comment of a bad score proposes a rule, unless a peer's.

    Raises:
        InputError: the tenant has no such run, nothing is said, or it is out of range.
        ConfigurationError: the settings of a place for traces can't be used.
    """
    feedback = await give_feedback(tenant, new)
    if feedback.score is None or feedback.score >= BAD or not feedback.comment:
        return Rated(feedback)
    if feedback.source == "peer":
        return Rated(feedback, refused="Only the run's user, approvers and operators propose rules.")
    try:
        rule = await learn_from_feedback(feedback.run_id, feedback.comment, feedback.given_by)
    except RuleRefusedError as error:
        _log.warning("No rule is proposed from the feedback on run %s: %s", feedback.run_id, error)
        return Rated(feedback, refused=str(error))
    return Rated(feedback, rule)
