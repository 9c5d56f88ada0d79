"""What an agent knows beside the conversation: the rules that it follows, the memories that it recalls."""

from nodes.learning import Mind
from nodes.recalling import recalling
from nodes.receive import Noting
from nodes.ruling import ruled, ruling
from nodes.threads import Node


def noting_of(mind: Mind) -> list[Noting]:
    """Return what finds the notes of a turn."""
    rules = [ruling(mind.graph)] if mind.active_rules else []
    return [*rules, recalling(mind.memory)]


def planning_of(mind: Mind, plan: Node) -> Node:
    """Return the node `plan`, made to record the rules that its steps were told."""
    return ruled(plan) if mind.active_rules else plan
