"""Whether the people that policies ask for exist: looked at when an agent is built."""

from collections.abc import Collection, Sequence

from core.errors import ConfigurationError
from guardrails.approval import ApprovalPolicy, Level, chains_of, fields_of
from guardrails.chain import Roles, count_people


def check_policy(tool: str, policy: ApprovalPolicy, *, roles: Roles, arguments: Collection[str]) -> None:
    """Look whether a tool's policy can be fulfilled.

    Args:
        tool: the name of the tool.
        policy: its policy.
        roles: who has which role.
        arguments: the names of the tool's arguments.

    Raises:
        ConfigurationError: it looks at an argument that there is not, a chain is empty, names a role that
            nobody has, or wants more people than have the role.
    """
    for field in fields_of(policy):
        if field not in arguments:
            raise ConfigurationError(
                f"tool {tool!r}: its approval looks at the argument {field!r}, which the tool does not take. "
                f"It takes: {', '.join(arguments) or 'none'}."
            )
    for chain in chains_of(policy):
        if not chain:
            raise ConfigurationError(
                f"tool {tool!r}: its approval has an empty list of levels. Name a level, or leave `levels` "
                "out for a confirmation by whoever is at the keyboard."
            )
        _check_chain(tool, chain, roles)


def _check_chain(tool: str, chain: Sequence[Level], roles: Roles) -> None:
    for number, level in enumerate(chain, start=1):
        for role, quorum in level.roles.items():
            place = f"tool {tool!r}, level {number} of its approval, role {role!r}"
            people = count_people(roles.get(role, ()))
            if role not in roles:
                known = ", ".join(sorted(roles)) or "none"
                raise ConfigurationError(
                    f"{place}: there is no such role. There are: {known}. Give `roles` or set BORING_ROLES."
                )
            if people < quorum:
                raise ConfigurationError(f"{place}: {quorum} have to agree, and {people} have the role.")
