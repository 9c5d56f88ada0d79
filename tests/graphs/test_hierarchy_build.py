"""A hierarchy that can't work is refused when it is built, with the place and what to do."""

from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph

from core.errors import ConfigurationError
from graphs.hierarchy import Team, create_hierarchy
from graphs.single import create_agent
from guardrails.approval import Level, over
from tools.contract import contract

AGENT = create_agent()


async def refund(amount: int) -> str:
    """Give money back."""
    return f"refunded {amount}"


def plain(**given: Any) -> Team:
    right: dict[str, Any] = {"name": "a", "description": "Does things.", "graph": AGENT}
    return Team(**{**right, **given})


def same(state: MessagesState) -> MessagesState:
    return state


def foreign(**more: Any) -> Any:
    """Return a compiled graph that is not ours."""
    builder: Any = StateGraph(MessagesState)
    builder.add_node("node", same)
    builder.add_edge(START, "node")
    builder.add_edge("node", END)
    return builder.compile(**more)


def asking(role: str, quorum: int = 1) -> Any:
    return contract(refund, approval=over("amount", 50, levels=[Level(role, quorum)]))


RIGHT: dict[str, Any] = {"teams": [plain()], "name": "office"}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"name": None}, "worker 1, None, has a name that can't be a node's and a tool's"),
        ({"name": "two words"}, "worker 1, 'two words', has a name that"),
        ({"name": "büro"}, "worker 1, 'büro', has a name that"),
        ({"name": "decline"}, "worker 1, 'decline', has the name of the tool that hands a request back"),
        ({"name": "turn"}, "worker 1, 'turn', has the name of a part of the state"),
        ({"description": None}, "worker 1, 'a': description is None; expected a text"),
        ({"description": "\ud800"}, "worker 1, 'a': description holds a NUL or half a character"),
        ({"graph": refund}, "worker 1, 'a', has a function as graph; expected a compiled graph"),
        ({"graph": StateGraph(MessagesState)}, r"has a StateGraph as graph; .* Call its compile\(\)"),
        ({"graph": foreign(checkpointer=InMemorySaver())}, "compiled with checkpointer=InMemorySaver, but"),
        ({"graph": foreign(checkpointer=True)}, "compiled with checkpointer=True, but its state is kept by"),
        (
            {"graph": foreign(checkpointer=False)},
            "checkpointer=False.* to the outermost graph",
        ),
    ],
)
def test_a_team_that_can_not_work_is_refused_wherever_it_stands(given: Any, told: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^hierarchy 'office': .*{told}"):
        create_hierarchy(teams=[plain(**given)], name="office")
    lead = Team("lead", "Leads.", teams=[plain(**given)])
    with pytest.raises(ConfigurationError, match=f"^team office > lead: .*{told}"):
        create_hierarchy(teams=[lead], name="office")


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"teams": None}, "teams is None; expected a list of Team"),
        ({"teams": plain()}, "teams is a Team; expected a list"),
        ({"teams": [plain(), "b"]}, "teams, number 2, is 'b'; expected a Team"),
        ({"teams": []}, "has nobody to hand work to"),
        ({"teams": [plain(), plain()]}, "worker 1, 'a', shares its name with another worker"),
        ({"tools": None}, "tools is None; expected a list"),
        ({"tools": [None]}, "function None has no docstring"),
        ({"tools": [refund, refund]}, r"tools share the names \['refund'\]"),
        ({"tools": [refund], "teams": [plain(name="refund")]}, "'refund', shares its name with a tool"),
        (
            {"tools": [asking("chief")], "roles": {}},
            "tool 'refund', level 1 .* 'chief': there is no such",
        ),
        ({"tools": [asking("chief", 3)], "roles": {"chief": ["ann", "bob"]}}, "3 have to agree, and 2 have"),
        ({"roles": ["chief"]}, "roles is a list; expected a mapping"),
        ({"roles": {"chief": "ann"}}, r"role 'chief' is given to 'ann', a text; .*: \['ann'\]"),
        ({"roles": {"chief": None}}, "the role 'chief' is given to None; expected a list of names"),
        ({"system_prompt": None}, "system_prompt is None; expected a text"),
        ({"llm": 5}, "llm is 5; expected a chat model"),
        ({"fallbacks": "gpt"}, "fallbacks is 'gpt'; expected a list"),
        ({"checkpointer": {}}, "checkpointer is a dict; expected a BaseCheckpointSaver"),
        ({"store": 5}, "store is 5; expected a BaseStore"),
    ],
)
def test_a_hierarchy_names_the_argument_that_can_not_be_used(given: Any, told: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^hierarchy 'office':? .*{told}"):
        create_hierarchy(**{**RIGHT, **given})


@pytest.mark.parametrize(
    ("team", "told"),
    [
        (Team("lead", "Leads.", teams=[]), "^team office > lead needs a graph, or teams that it leads"),
        (plain(name="lead", graph=None, teams=None), "^team office > lead: teams is None; expected a list"),
        (plain(name="lead", graph=None, teams=["x"]), "^team office > lead: teams, number 1, is 'x'"),
        (plain(name="office"), "^team office > office has the name of the hierarchy"),
        (Team("lead", "Leads.", teams=[plain(name="lead")]), "^team office > lead > lead: teams lead each"),
    ],
)
def test_a_team_of_teams_names_its_place(team: Team, told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        create_hierarchy(teams=[team], name="office")


@pytest.mark.parametrize("name", [None, 5, "", "a\nb", "\ud800", "x" * 101])
def test_a_hierarchy_needs_a_name_that_runs_can_be_recorded_under(name: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"^hierarchy: name "):
        create_hierarchy(teams=[plain()], name=name)
