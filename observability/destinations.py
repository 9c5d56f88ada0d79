"""The places that spans can be sent to by OTLP: their addresses, the headers that they want, their dialect.

Source: the documentation of Phoenix (endpoints, authentication, projects), Langfuse and LangSmith (tracing
with OpenTelemetry), and the specification of OTLP exporters.
"""

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import unquote

from pydantic import SecretStr

from core.addresses import is_address, shown_address
from core.errors import ConfigurationError
from core.settings import Settings
from observability import content_dialects, dialects

Dialect = Callable[[dialects.Row], dict[str, Any]]
ContentDialect = Callable[[content_dialects.Attributes], dict[str, Any]]
_PATH: Final = "/v1/traces"


@dataclass(frozen=True, slots=True)
class Destination:
    """A place for spans.

    Attributes:
        name: what `BORING_TRACES` calls it.
        url: where spans are posted to.
        headers: sent along, keys among them.
        resource: attributes of what the spans come from.
        dialect: what its spans are told beside their own attributes.
        content: the same for what was asked and answered, where its spans hold that.
        names_exceptions: an error is told by an event `exception` as well.
        project: where LangSmith tells the ids of projects, and the name of the one that is meant.
    """

    name: str
    url: str
    headers: Mapping[str, str] = field(repr=False)
    resource: Mapping[str, str]
    dialect: Dialect
    content: ContentDialect = content_dialects.none
    names_exceptions: bool = False
    project: tuple[str, str] | None = None


def destinations(settings: Settings) -> list[Destination]:
    """Return where the settings send spans to.

    Raises:
        ConfigurationError: a key is missing, an address is none, or LangSmith would get traces both ways.
    """
    if settings.langsmith_tracing and "langsmith" in settings.traces:
        raise ConfigurationError(
            "LangSmith would get every trace twice: BORING_TRACES names langsmith, and LANGSMITH_TRACING is "
            "on. Take langsmith out of BORING_TRACES, or unset LANGSMITH_TRACING."
        )
    return [_MAKERS[name](settings) for name in settings.traces]


def _phoenix(settings: Settings) -> Destination:
    key = settings.phoenix_api_key
    headers = {"authorization": f"Bearer {key.get_secret_value()}"} if key else {}
    project = settings.phoenix_project
    resource = {"openinference.project.name": project} if project else {}
    url = _address(settings.phoenix_endpoint, "PHOENIX_COLLECTOR_ENDPOINT", _PATH)
    return Destination(
        "phoenix", url, headers, resource, dialects.openinference, content_dialects.openinference
    )


def _langfuse(settings: Settings) -> Destination:
    public = _wanted(settings.langfuse_public_key, "LANGFUSE_PUBLIC_KEY", "langfuse")
    secret = _wanted(settings.langfuse_secret_key, "LANGFUSE_SECRET_KEY", "langfuse")
    token = base64.b64encode(f"{public}:{secret}".encode()).decode()
    headers = {"authorization": f"Basic {token}", "x-langfuse-ingestion-version": "4"}
    url = _address(settings.langfuse_endpoint, "LANGFUSE_BASE_URL", "/api/public/otel" + _PATH)
    return Destination("langfuse", url, headers, {}, dialects.langfuse, content_dialects.langfuse)


def _langsmith(settings: Settings) -> Destination:
    headers = {"x-api-key": _wanted(settings.langsmith_api_key, "LANGSMITH_API_KEY", "langsmith")}
    if settings.langsmith_project:
        headers["langsmith-project"] = settings.langsmith_project
    url = _address(settings.langsmith_endpoint, "LANGSMITH_ENDPOINT", "/otel" + _PATH)
    project = (f"{url.removesuffix('/otel' + _PATH)}/sessions", settings.langsmith_project or "default")
    return Destination(
        "langsmith",
        url,
        headers,
        {},
        dialects.langsmith,
        content_dialects.langsmith,
        names_exceptions=True,
        project=project,
    )


def langsmith_itself(settings: Settings) -> Destination:
    """Return where LangSmith takes feedback on runs that its own client has traced."""
    key = settings.langsmith_api_key
    headers = {"x-api-key": key.get_secret_value()} if key else {}
    base = settings.langsmith_endpoint.strip().rstrip("/")
    project = (f"{base}/sessions", settings.langsmith_project or "default")
    return Destination("langsmith itself", f"{base}/feedback", headers, {}, dialects.plain, project=project)


def _otlp(settings: Settings) -> Destination:
    headers = _parsed(settings.otlp_headers)
    url = _address(settings.otlp_endpoint, "OTEL_EXPORTER_OTLP_ENDPOINT", _PATH)
    return Destination("otlp", url, headers, {}, dialects.plain)


_MAKERS: Final[Mapping[str, Callable[[Settings], Destination]]] = {
    "phoenix": _phoenix,
    "langfuse": _langfuse,
    "langsmith": _langsmith,
    "otlp": _otlp,
}


def _address(base: str, variable: str, path: str) -> str:
    if not is_address(base.strip()):
        raise ConfigurationError(
            f"{variable} holds {shown_address(base)!r}, which is no address. Set it to one like https://traces.example.com."
        )
    address = base.strip().rstrip("/")
    return address if address.endswith(_PATH) else address + path


def _wanted(held: str | SecretStr | None, variable: str, place: str) -> str:
    if held is None:
        raise ConfigurationError(
            f"BORING_TRACES names {place}, which wants {variable}; it is not set. Set it, or take {place} "
            "out of BORING_TRACES."
        )
    return held.get_secret_value() if isinstance(held, SecretStr) else held


def _parsed(headers: SecretStr | None) -> dict[str, str]:
    """Return headers that are written as `name=value`, with commas between them and values URL-encoded."""
    found: dict[str, str] = {}
    for part in (headers.get_secret_value() if headers else "").split(","):
        name, sign, value = part.partition("=")
        if part.strip() and not (sign and name.strip()):
            raise ConfigurationError(
                "OTEL_EXPORTER_OTLP_HEADERS can't be read. Write name=value, with commas between headers."
            )
        if sign:
            found[name.strip().lower()] = unquote(value.strip())
    return found
