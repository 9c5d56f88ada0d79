"""Who looks at the pages, and what they may see: the whole, or what belongs to their tenant."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final, Literal

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import Scope

from core.text import storable_text

Role = Literal["viewer", "approver", "operator"]
PERMISSIONS: Final[dict[str, Role]] = {
    "console:operator": "operator",
    "console:approver": "approver",
    "console:viewer": "viewer",
}
"""What the server's authentication has to give a user, the strongest first."""
_KEY: Final = "boring.viewer"
_NO_AUTHENTICATION: Final = "langgraph_api.auth.noop"
"""Where the server makes the user of a request, if no authentication is set."""


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who looks.

    Attributes:
        role: an approver decides too, an operator sees every tenant too.
        tenant: the only one whose rows they get; None for an operator.
        name: of who is signed in; None where nobody is asked, and a form names who decides.
    """

    role: Role = "operator"
    tenant: str | None = None
    name: str | None = None

    @property
    def may_decide(self) -> bool:
        """Whether they may settle requests."""
        return self.role != "viewer"

    def tenant_of(self, asked: str | None) -> str | None:
        """Return whose rows are looked for: their own tenant's, whatever is asked; None for everybody's."""
        return self.tenant if self.tenant is not None else asked or None


def nobody_is_asked(user: object) -> bool:
    """Return whether a request has this user because no authentication stands in front of the server."""
    return user is None or type(user).__module__ == _NO_AUTHENTICATION


def let_in(scope: Scope) -> str | None:
    """Find out who asks, for `viewer_of`; return why they get no page, None if they do.

    Where no authentication stands in front, whoever can reach the console is its operator.
    """
    user: Any = scope.get("user")
    if nobody_is_asked(user):
        scope[_KEY] = Viewer()
        return None
    role = role_of(scope)
    if role is None or not user.is_authenticated:
        return f"You may not use the console. It takes one of the permissions {', '.join(PERMISSIONS)}.\n"
    tenant = getattr(user, "tenant", None)
    if role != "operator" and not (isinstance(tenant, str) and tenant):
        return "The console can't tell whose runs you may see: your sign-in names no tenant.\n"
    scope[_KEY] = Viewer(role, None if role == "operator" else tenant, storable_text(str(user.identity)))
    return None


def role_of(scope: Scope) -> Role | None:
    """Return the role that the server's authentication gives who asks; None where it gives none."""
    held: Collection[str] = getattr(scope.get("auth"), "scopes", ())
    return next((role for name, role in PERMISSIONS.items() if name in held), None)


def viewer_of(request: Request) -> Viewer:
    """Return who asks for a page.

    Raises:
        HTTPException: nobody has been let in.
    """
    viewer = request.scope.get(_KEY)
    if not isinstance(viewer, Viewer):
        raise HTTPException(403, "Nobody has looked who you are.")
    return viewer


def for_operators(request: Request) -> None:
    """Let nobody but operators pass.

    Raises:
        HTTPException: who asks sees one tenant only, and the page is of all.
    """
    if viewer_of(request).role != "operator":
        raise HTTPException(403, "This page is about all tenants; it is for operators.")
