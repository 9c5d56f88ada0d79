"""The file that names MCP servers: the common `mcpServers` form, and what is said of their tools."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Self, cast
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator

from core.errors import ConfigurationError
from core.settings import filled_in
from guardrails.approval import ApprovalPolicy, always, never, over

McpEffect = Literal["read", "idempotent", "unsafe"]
"""The effects that a foreign server's tool can have; a transaction is only given to tools of our own."""
_FROM_ENVIRONMENT = ("env", "headers", "url")
_SECRET = ("env", "headers", "args", "url", "command")
_MIN_SECRET_CHARS = 4


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)


class Over(_Part):
    """Asks a person for calls in which the number `field` is over `over`."""

    field: str
    over: float


class McpToolTerms(_Part):
    """What the operator says of one tool; each part means what it means in `tools.contract.Tool`."""

    effect: McpEffect | None = None
    timeout_s: float | None = Field(default=None, gt=0)
    max_concurrency: int | None = Field(default=None, ge=1)
    max_result_chars: int | None = Field(default=None, ge=1)
    approval: Literal["always", "never"] | Over = "never"
    provenance: Literal["trusted", "untrusted"] = "untrusted"

    def approval_policy(self) -> ApprovalPolicy:
        """Return the policy that `approval` stands for."""
        if isinstance(self.approval, Over):
            return over(self.approval.field, self.approval.over)
        return always if self.approval == "always" else never


def _web_address(url: str) -> str:
    if not url.startswith(("http://", "https://")):
        raise ValueError("it has to begin with http:// or https://")
    return url


class McpServer(_Part):
    """One server: a command to start, or an address.

    Attributes:
        type: may be left out; `stdio` has a `command`, `http` a `url`.
        env: beside a few harmless variables (HOME, PATH, ...), all that the command gets of an environment.
        start_timeout_s: most seconds to start, connect, and list the tools.
        default_effect: of tools that `tools` says no effect for.
        tools: by the name that the server gives.
    """

    type: Literal["stdio", "http", "streamable-http", "streamable_http"] | None = None
    command: str | None = Field(default=None, min_length=1)
    args: tuple[str, ...] = Field(default=(), strict=False, repr=False)
    cwd: str | None = None
    env: dict[str, SecretStr] = Field(default_factory=dict[str, SecretStr])
    url: Annotated[str, AfterValidator(_web_address)] | None = Field(default=None, repr=False)
    headers: dict[str, SecretStr] = Field(default_factory=dict[str, SecretStr])
    start_timeout_s: float = Field(default=30.0, gt=0)
    default_effect: McpEffect | None = None
    tools: dict[str, McpToolTerms] = Field(default_factory=dict[str, McpToolTerms])

    @model_validator(mode="after")
    def _one_way_to_it(self) -> Self:
        if (self.command is None) == (self.url is None):
            raise ValueError("it needs either a command or a url")
        only_stdio = self.args or self.env or self.cwd is not None
        if (self.url is not None and only_stdio) or (self.command is not None and self.headers):
            raise ValueError("args, env and cwd belong to a command, headers to a url")
        if self.type is not None and (self.type == "stdio") != (self.command is not None):
            raise ValueError(f"type {self.type!r} contradicts its {'command' if self.command else 'url'}")
        return self

    def redacted(self, text: str) -> str:
        """Return `text` without what `env`, `headers` and the query of the `url` hold, word for word."""
        for secret in self.secrets():
            text = text.replace(secret, "***")
        return text

    def secrets(self) -> list[str]:
        """Return what no message shows, the longest first."""
        held = [value.get_secret_value() for value in (*self.env.values(), *self.headers.values())]
        address = urlsplit(self.url or "")
        held += [address.query, address.password or ""]
        words = {word for value in held for word in (value, *value.split())}
        return sorted((word for word in words if len(word) >= _MIN_SECRET_CHARS), key=len, reverse=True)


class McpFile(_Part):
    """The whole file."""

    mcpServers: dict[Annotated[str, Field(min_length=1, max_length=64)], McpServer]  # noqa: N815 - the common name


async def mcp_servers(path: Path) -> dict[str, McpServer]:
    """Read the servers that the file at `path` names, by name.

    Raises:
        ConfigurationError: the file can't be read or holds what it may not; the message names the field.
    """
    try:
        text = await asyncio.to_thread(path.read_text, encoding="utf-8")
        given = json.loads(text)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"BORING_MCP names {path}, which can't be read: {error}.") from error
    except ValueError as error:
        raise ConfigurationError(f"{path}, named by BORING_MCP, is not JSON: {error}.") from error
    try:
        return McpFile.model_validate(_filled_in(given, path)).mcpServers
    except ValidationError as error:
        raise ConfigurationError("\n".join(_complaints(error, path))) from None


def _filled_in(given: Any, path: Path) -> Any:
    """Return what the file holds, with references to environment variables replaced where they may stand."""
    servers = given.get("mcpServers") if isinstance(given, dict) else None
    if not isinstance(servers, dict):
        return given
    named = {
        name: _server(server, f"{path}: mcpServers.{name}") if isinstance(server, dict) else server
        for name, server in cast("dict[str, Any]", servers).items()
    }
    return {**cast("dict[str, Any]", given), "mcpServers": named}


def _server(server: dict[str, Any], where: str) -> dict[str, Any]:
    return {
        key: _value(part, f"{where}.{key}") if key in _FROM_ENVIRONMENT else part
        for key, part in server.items()
    }


def _value(part: Any, where: str) -> Any:
    if isinstance(part, dict):
        return {key: _value(value, f"{where}.{key}") for key, value in cast("dict[str, Any]", part).items()}
    if isinstance(part, list):
        return [_value(value, f"{where}.{at}") for at, value in enumerate(cast("list[Any]", part))]
    try:
        return filled_in(part) if isinstance(part, str) else part
    except ConfigurationError as error:
        raise ConfigurationError(f"{where} refers to the environment: {error}") from error


def _complaints(error: ValidationError, path: Path) -> Iterator[str]:
    for item in error.errors(include_url=False):
        place = [str(part) for part in item["loc"]]
        held = "" if item["type"] in {"missing", "value_error"} else f" holds {_shown(item['input'], place)}"
        rest = f": {item['msg']}."
        if item["type"] == "extra_forbidden":
            rest = f", but there is no such field. The fields are: {', '.join(_fields(place))}."
        yield f"{path}, named by BORING_MCP: {'.'.join(place) or 'the file'}{held}{rest}"


def _shown(value: Any, place: list[str]) -> str:
    if set(place) & set(_SECRET):
        return f"a {type(value).__name__} that is not shown"
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:80]}..."  # noqa: PLR2004 - a line's worth


def _fields(place: list[str]) -> list[str]:
    kind = (McpFile, McpFile, McpServer, McpServer, McpToolTerms)[min(len(place), 4)]
    return list((Over if "Over" in place else kind).model_fields)
