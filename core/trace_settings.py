"""What the operator sets of where spans are sent to, beside the database that always gets them."""

from typing import Annotated, Any, Final, Literal

from pydantic import AliasChoices, BaseModel, Field, SecretStr, field_validator
from pydantic_settings import NoDecode

TraceTo = Literal["phoenix", "langfuse", "langsmith", "otlp"]
"""A place that takes spans by OTLP, with an address and headers of its own."""
Content = Literal["full", "redacted", "off"]
"""How what was said is kept to see what runs did: as it is, without private data, or not at all."""
MOST_DAYS: Final = 36_500
"""Most days that spans and their counts are kept for, if not for ever."""
_LEAST_FIRST: Final[tuple[Content, ...]] = ("off", "redacted", "full")


class TraceSettings(BaseModel):
    """Part of `core.settings.Settings`. Keys and addresses have the names that other clients read too."""

    traces: Annotated[tuple[TraceTo, ...], NoDecode] = ()
    """Where spans are sent to as well, in the environment with commas between them."""
    traces_sample: float = Field(default=1.0, ge=0, le=1)
    """Which share of the traces is sent there. Those with an error always are, and the database gets all."""

    phoenix_endpoint: str = Field(
        default="http://localhost:6006",
        validation_alias=AliasChoices("PHOENIX_COLLECTOR_ENDPOINT", "phoenix_endpoint"),
    )
    phoenix_api_key: SecretStr | None = Field(
        default=None, validation_alias=AliasChoices("PHOENIX_API_KEY", "phoenix_api_key")
    )
    phoenix_project: str | None = Field(
        default=None, validation_alias=AliasChoices("PHOENIX_PROJECT_NAME", "phoenix_project")
    )

    langfuse_endpoint: str = Field(
        default="https://cloud.langfuse.com",
        validation_alias=AliasChoices("LANGFUSE_BASE_URL", "LANGFUSE_HOST", "langfuse_endpoint"),
    )
    """Where Langfuse is; its regions and installations of one's own have other addresses."""
    langfuse_public_key: str | None = Field(
        default=None, validation_alias=AliasChoices("LANGFUSE_PUBLIC_KEY", "langfuse_public_key")
    )
    langfuse_secret_key: SecretStr | None = Field(
        default=None, validation_alias=AliasChoices("LANGFUSE_SECRET_KEY", "langfuse_secret_key")
    )

    langsmith_endpoint: str = Field(
        default="https://api.smith.langchain.com",
        validation_alias=AliasChoices("LANGSMITH_ENDPOINT", "LANGCHAIN_ENDPOINT", "langsmith_endpoint"),
    )
    langsmith_api_key: SecretStr | None = Field(
        default=None,
        validation_alias=AliasChoices("LANGSMITH_API_KEY", "LANGCHAIN_API_KEY", "langsmith_api_key"),
    )
    langsmith_project: str | None = Field(
        default=None,
        validation_alias=AliasChoices("LANGSMITH_PROJECT", "LANGCHAIN_PROJECT", "langsmith_project"),
    )
    langsmith_tracing: bool = Field(
        default=False,
        validation_alias=AliasChoices(
            "LANGSMITH_TRACING_V2",
            "LANGCHAIN_TRACING_V2",
            "LANGSMITH_TRACING",
            "LANGCHAIN_TRACING",
            "langsmith_tracing",
        ),
    )
    """Whether LangSmith's own client traces what LangChain and LangGraph do."""

    otlp_endpoint: str = Field(
        default="http://localhost:4318",
        validation_alias=AliasChoices("OTEL_EXPORTER_OTLP_ENDPOINT", "otlp_endpoint"),
    )
    otlp_headers: SecretStr | None = Field(
        default=None, validation_alias=AliasChoices("OTEL_EXPORTER_OTLP_HEADERS", "otlp_headers")
    )
    """`name=value`, with commas between them."""

    content: Content = "redacted"
    """Whether stored tool calls and decisions hold what was said as it is, without private data, or not."""
    content_of: Annotated[dict[str, Content], NoDecode] = Field(default_factory=dict[str, Content])
    """The same for single tenants, in the environment as `tenant=setting` with commas between them."""

    span_content: bool = Field(
        default=False,
        validation_alias=AliasChoices(
            "BORING_SPAN_CONTENT", "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "span_content"
        ),
    )
    """Whether spans hold what was asked and answered, kept as `content` says."""

    presidio: Annotated[tuple[str, ...], NoDecode] = ()
    """Kinds of private data that Presidio's recognisers look for as well, in the environment with commas."""

    log_format: Literal["text", "json"] = "text"
    """What a line of the log is."""

    metrics_port: int | None = Field(default=None, ge=0, le=65_535)
    """Where a server shows its metrics to Prometheus. Unset: nowhere, and nothing is counted."""
    metrics_host: str = "127.0.0.1"
    """The address that it listens at for that."""

    retention_span_days: int | None = Field(default=None, ge=1, le=MOST_DAYS)
    """Spans of days before so many go at the next sweep, a day at a time. Unset: they stay."""
    retention_count_days: int | None = Field(default=None, ge=1, le=MOST_DAYS)
    """Counts of spans by day, of days before so many, go at the next sweep. Unset: they stay."""

    def content_for(self, *tenants: str | None) -> Content:
        """Return how what these tenants said is kept; of several, the least that is kept of any."""
        kept: list[Content] = [self.content_of.get(tenant or "", self.content) for tenant in tenants]
        return min(kept, key=_LEAST_FIRST.index)

    def tells_content(self, tenant: str) -> bool:
        """Return whether spans of a tenant's runs hold what was asked and answered."""
        return self.span_content and self.content_for(tenant) != "off"

    @field_validator("span_content", mode="before")
    @classmethod
    def _in_words_of_the_conventions(cls, value: object) -> object:
        """Take what OpenTelemetry's own libraries take as well; there is no content in events."""
        told = value.strip().upper() if isinstance(value, str) else value
        if told in {"", "NO_CONTENT", "EVENT_ONLY"}:
            return False
        return True if told in {"SPAN_ONLY", "SPAN_AND_EVENT"} else value

    @field_validator("content_of", mode="before")
    @classmethod
    def _split_tenants(cls, value: object) -> object:
        return _by_tenant(value) if isinstance(value, str) else value

    @field_validator("traces", mode="before")
    @classmethod
    def _split_places(cls, value: object) -> object:
        return _listed(value.lower()) if isinstance(value, str) else value

    @field_validator("presidio", mode="before")
    @classmethod
    def _split_kinds(cls, value: object) -> object:
        return _listed(value.upper()) if isinstance(value, str) else value

    @field_validator(
        "phoenix_api_key",
        "phoenix_project",
        "langfuse_public_key",
        "langfuse_secret_key",
        "langsmith_api_key",
        "langsmith_project",
        "otlp_headers",
        mode="before",
    )
    @classmethod
    def _empty_means_unset(cls, value: object) -> object:
        return None if isinstance(value, str) and not value.strip() else value

    @field_validator("langsmith_tracing", mode="before")
    @classmethod
    def _empty_means_off(cls, value: object) -> object:
        return False if isinstance(value, str) and not value.strip() else value


def _listed(text: str) -> tuple[str, ...]:
    """Return the names in a text with commas between them, each once."""
    return tuple(dict.fromkeys(name for part in text.split(",") if (name := part.strip())))


def _by_tenant(text: str) -> dict[str, Any]:
    """Return what stands behind each tenant's name, refusing what is no such list."""
    found: dict[str, Any] = {}
    for part in text.split(","):
        tenant, sign, content = part.rpartition("=")
        tenant, content = tenant.strip(), content.strip().lower()
        if not part.strip():
            continue
        if not (sign and tenant) or content not in _LEAST_FIRST:
            raise ValueError(
                f"{part.strip()!r} is not a tenant, = and one of full, redacted, off, as in acme=full"
            )
        if found.get(tenant, content) != content:
            raise ValueError(f"tenant {tenant!r} stands there twice")
        found[tenant] = content
    return found
