"""A router that can't work is refused when it is built, with the place and what to do."""

import math
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import StateGraph

from core.errors import ConfigurationError
from core.state import AgentState
from graphs.router import Specialist, create_router
from graphs.single import create_agent
from guardrails.approval import always
from guardrails.routing import Rule

AGENT = create_agent()


def plain(**given: Any) -> Specialist:
    right: dict[str, Any] = {"name": "a", "description": "Does things.", "graph": AGENT}
    return Specialist(**{**right, **given})


RIGHT: dict[str, Any] = {"specialists": [plain()], "name": "desk"}


def agent_named(name: str) -> None:
    """Do nothing: a function is no graph."""
    del name


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"name": None}, "worker 1, None, has a name that can't be a node's and a tool's"),
        ({"name": 5}, "worker 1, 5, has a name that"),
        ({"name": ""}, "worker 1, '', has a name that"),
        ({"name": "büro"}, "worker 1, 'büro', has a name that"),
        ({"name": "two words"}, "worker 1, 'two words', has a name that"),
        ({"name": "a\n"}, r"worker 1, 'a\\n', has a name that"),
        ({"name": "a" * 65}, r"worker 1, 'a{59}\.\.\., has a name that"),
        ({"name": "decline"}, "worker 1, 'decline', has the name of the tool that hands a request back"),
        ({"name": "plan"}, "worker 1, 'plan', has a name that the loop needs"),
        ({"name": "messages"}, "worker 1, 'messages', has the name of a part of the state"),
        ({"description": None}, "worker 1, 'a': description is None; expected a text"),
        ({"description": 5}, "worker 1, 'a': description is 5; expected a text"),
        ({"description": [AGENT]}, "worker 1, 'a': description is a list; expected a text"),
        ({"description": " \n"}, "worker 1, 'a', has no description"),
        ({"description": "a\0b"}, "description holds a NUL"),
        ({"description": "\ud800"}, "description holds a NUL or half a character"),
        ({"graph": None}, "worker 1, 'a', has a NoneType as graph; expected a compiled graph"),
        ({"graph": agent_named}, "has a function as graph"),
        ({"graph": StateGraph(AgentState)}, r"has a StateGraph as graph; .* Call its compile\(\)"),
        ({"graph": create_agent(checkpointer=InMemorySaver())}, "checkpointer=InMemorySaver, but its state"),
        ({"not_for": None}, "specialist 'a': not_for is None"),
        ({"examples": None}, "specialist 'a': examples is None; expected a list of str"),
        ({"examples": "one"}, "specialist 'a': examples is 'one'; expected a list of str"),
        ({"examples": ["one", 2]}, "specialist 'a': examples, number 2, is 2; expected a str"),
        ({"examples": ["\0"]}, "specialist 'a': examples holds a NUL"),
    ],
)
def test_a_specialist_that_can_not_work_is_refused_by_its_router(given: Any, told: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^router 'desk': .*{told}"):
        create_router(specialists=[plain(**given)], name="desk")


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"specialists": None}, "specialists is None; expected a list of Specialist"),
        ({"specialists": "a"}, "specialists is 'a'; expected a list of Specialist"),
        ({"specialists": plain()}, "specialists is a Specialist; expected a list"),
        ({"specialists": [plain(), None]}, "specialists, number 2, is None; expected a Specialist"),
        ({"specialists": []}, "has nobody"),
        ({"specialists": [plain(), plain()]}, "worker 1, 'a', shares its name"),
        ({"rules": None}, "rules is None; expected a list of Rule"),
        ({"rules": [always]}, "rules, number 1, is a function; expected a Rule"),
        ({"rules": [Rule("b", pattern="x")]}, r"rule 1 names 'b', who is no specialist. There are: a\."),
        ({"below": "0.5"}, "below is '0.5'; expected a confidence from 0 to 1"),
        ({"below": None}, "below is None"),
        ({"below": True}, "below is True"),
        ({"below": 1.5}, "below is 1.5"),
        ({"below": -1}, "below is -1"),
        ({"below": math.nan}, "below is nan"),
        ({"unsure": "aks"}, "unsure is 'aks'; expected 'ask' or 'general'"),
        ({"unsure": None}, "unsure is None"),
        ({"unsure": "general"}, "unsure is 'general', but general names nobody"),
        ({"general": "b"}, r"general is 'b', who is no specialist. There are: a\."),
        ({"general": [1]}, r"general is \[1\], who is no specialist"),
        ({"llm": 5}, "llm is 5; expected a chat model"),
        ({"llm": " "}, "llm is ' '; expected a chat model"),
        ({"fallbacks": "gpt"}, "fallbacks is 'gpt'; expected a list, such as"),
        ({"fallbacks": ["gpt", 5]}, "fallbacks, number 2, is 5; expected a chat model"),
        ({"checkpointer": "memory"}, "checkpointer is 'memory'; expected a BaseCheckpointSaver"),
        ({"checkpointer": True}, "checkpointer is True"),
        ({"store": {}}, "store is a dict; expected a BaseStore"),
    ],
)
def test_a_router_that_can_not_work_is_refused_when_it_is_built(given: Any, told: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^router 'desk':? .*{told}"):
        create_router(**{**RIGHT, **given})


@pytest.mark.parametrize("name", [None, 5, "", " ", "a\nb", "a\0b", "\ud800", "x" * 101])
def test_a_router_needs_a_name_that_runs_can_be_recorded_under(name: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"^router: name "):
        create_router(specialists=[plain()], name=name)


@pytest.mark.parametrize(
    ("terms", "told"),
    [
        ({}, "always apply"),
        ({"pattern": ""}, "pattern is ''; expected a text, not empty"),
        ({"pattern": 5}, "pattern is 5; expected a text"),
        ({"pattern": b"x"}, "pattern is b'x'; expected a text"),
        ({"pattern": "("}, r"pattern '\(' is no regular expression: missing \)"),
        ({"pattern": "a{99999999999}"}, "is no regular expression"),
        ({"pattern": "(" * 9999 + ")" * 9999}, "is no regular expression"),
        ({"language": "xx"}, "language 'xx' is not known; expected an ISO 639-1 code"),
        ({"language": "German"}, "language 'German' is not known"),
        ({"language": ""}, "language is ''"),
        ({"language": ["de"]}, r"language is \['de'\]"),
        ({"attachment": "csv"}, "attachment 'csv' is no media type; expected one such as 'text/csv'"),
        ({"attachment": ".csv"}, "attachment '.csv' is no media type"),
        ({"attachment": "sheet/csv"}, "attachment 'sheet/csv' is no media type"),
        ({"attachment": "Text/CSV"}, "attachment 'Text/CSV' is no media type"),
        ({"attachment": 5}, "attachment is 5"),
    ],
)
def test_a_rule_that_can_not_be_applied_is_refused(terms: Any, told: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^rule for 'a': .*{told}"):
        Rule("a", **terms)


@pytest.mark.parametrize("name", [None, "", 5])
def test_a_rule_names_who_gets_the_request(name: Any) -> None:
    with pytest.raises(ConfigurationError, match="specialist is "):
        Rule(name, pattern="x")


@pytest.mark.parametrize(
    "kind", ["text/csv", "image/*", "*/*", "*", "file/*", "input_audio/*", "application/vnd.ms-excel"]
)
def test_every_media_type_that_an_attachment_may_have_can_be_ruled_by(kind: str) -> None:
    assert Rule("a", attachment=kind).attachment == kind
