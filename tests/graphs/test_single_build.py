"""What `create_agent` refuses when it builds the graph."""

from typing import Any

import pytest

from core.errors import ConfigurationError
from graphs.single import create_agent
from guardrails.approval import Level


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"llm": 5}, "agent 'single': llm is 5; expected a chat model"),
        ({"fallbacks": "gpt"}, "fallbacks is 'gpt'; expected a list"),
        ({"fallbacks": [None]}, "fallbacks, number 1, is None"),
        ({"tools": None}, "tools is None; expected a list"),
        ({"system_prompt": None}, "system_prompt is None; expected a text"),
        ({"system_prompt": "a\x00b"}, "system_prompt holds a NUL"),
        ({"name": " "}, "name is ' '; expected 1 to 100 characters"),
        ({"roles": "x"}, "roles is 'x'; expected a mapping"),
        ({"checkpointer": True}, "checkpointer is True; expected a BaseCheckpointSaver"),
        ({"store": {}}, "store is a dict; expected a BaseStore"),
    ],
)
def test_an_argument_that_is_none_of_what_it_should_be_is_named(given: Any, told: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        create_agent(**given)
    assert told in str(raised.value)


@pytest.mark.parametrize(
    ("role", "quorum"), [(None, 1), (b"x", 1), ("manager", 1.5), ("manager", True), ("manager", None)]
)
def test_a_level_names_a_role_and_a_whole_number_of_people(role: Any, quorum: Any) -> None:
    with pytest.raises(ValueError, match="level"):
        Level(role, quorum=quorum)
