"""The kinds of decisions that a run makes; `observability.noting` writes them down."""

from typing import Final, Literal

DecisionKind = Literal[
    "plan",
    "delegate",
    "tool",
    "refused",
    "retry",
    "fallback",
    "breaker",
    "route",
    "rule_applied",
    "rule_left_out",
    "memory_used",
    "trimmed",
    "folded",
    "asked",
    "approved",
    "stopped",
    "answered",
]
"""What is decided: `plan`, what comes next; `delegate`, which agent works; `tool`, which tool was run;
`refused`, that a call was not made; `retry`, that it, or the asking of a model, was tried again;
`fallback`, another model answered than the first in line, or `none` did; `breaker`, that a circuit breaker
opened or closed; `route`, who gets a request; `rule_applied`, which rules a step was told; `rule_left_out`,
for which rules it had no room; `memory_used`, what the model was told of what is known, by the ids of the
memories; `trimmed`, what of the conversation it was not shown; `folded`, which messages the model sees as a
summary; `asked`, that a person is; `approved`, that one agreed; `stopped`, that the turn ends without an
answer; `answered`, that it has one."""
NO_PERSONS: Final = frozenset({"rule", "model"})
"""Who decides that is no person."""
