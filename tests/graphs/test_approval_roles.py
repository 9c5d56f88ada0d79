"""An agent whose policies nobody can fulfil is not built."""

from typing import Any

import pytest

from core.errors import ConfigurationError
from core.settings import settings
from graphs.single import create_agent
from guardrails.approval import Level, any_of, over
from tests.graphs.approvals import ROLES
from tools.contract import contract


async def pay(amount: int) -> str:
    """Pay an amount."""
    return f"paid {amount}"


@pytest.mark.parametrize(
    ("policy", "why"),
    [
        (
            over("amount", 100, levels=[Level("clerk"), Level("chief")]),
            "tool 'pay', level 2 of its approval, role 'chief': there is no such role",
        ),
        (over("amount", 100, levels=[Level("clerk", quorum=3)]), "role 'clerk': 3 have to agree, and 2 have"),
        (over("amount", 100, levels=[]), "tool 'pay': its approval has an empty list of levels"),
        (over("amont", 100, levels=[Level("clerk")]), "looks at the argument 'amont'"),
        (any_of(over("amount", 1), over("amount", 2, levels=[Level("chief")])), "role 'chief'"),
    ],
)
def test_a_policy_that_nobody_can_fulfil_is_no_agent(policy: Any, why: str) -> None:
    with pytest.raises(ConfigurationError, match=why):
        create_agent(tools=[contract(pay, approval=policy)], roles=ROLES)


def test_roles_come_from_the_settings_where_none_are_given(monkeypatch: pytest.MonkeyPatch) -> None:
    tool = contract(pay, approval=over("amount", 100, levels=[Level("clerk")]))
    monkeypatch.setenv("BORING_ROLES", '{"clerk": ["carl"]}')
    settings.cache_clear()
    create_agent(tools=[tool])
    monkeypatch.setenv("BORING_ROLES", "{}")
    settings.cache_clear()
    with pytest.raises(ConfigurationError, match="There are: none"):
        create_agent(tools=[tool])
    settings.cache_clear()
