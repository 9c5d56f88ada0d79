"""What the operator sets, read from the environment once. The only module that reads it."""

import os
import re
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict, SettingsError

from core.addresses import is_address, shown_address
from core.errors import ConfigurationError
from core.prices import Price
from core.trace_settings import TraceSettings

PROJECT_ROOT = Path(__file__).resolve().parent.parent
_FIELD = re.compile(r'field "(\w+)"')


def _user_folder(variable: str, fallback: str) -> Path:
    """Return a per-user base folder by the XDG rules.

    Source: XDG Base Directory Specification 0.8.
    """
    named = os.environ.get(variable, "")
    return Path(named) if named.startswith("/") else Path.home() / fallback


def _default_data_dir() -> Path:
    if (PROJECT_ROOT / "langgraph.json").exists():
        return PROJECT_ROOT / ".boring"
    return _user_folder("XDG_DATA_HOME", ".local/share") / "boring-agents"


def _default_cache_dir() -> Path:
    return _user_folder("XDG_CACHE_HOME", ".cache") / "boring-agents"


Names = Annotated[tuple[str, ...], NoDecode]
"""Several names, in the environment with commas between them."""


class Settings(TraceSettings, BaseSettings):
    """The settings of one process.

    Every field is set by `BORING_` and its name in capitals; those that other tools share (`DATABASE_URL`,
    `OPENAI_API_KEY`, `OPENAI_BASE_URL`, and the addresses and keys of places for traces) keep their common
    names.
    """

    model_config = SettingsConfigDict(
        env_prefix="BORING_", frozen=True, extra="ignore", populate_by_name=True
    )

    data_dir: Path = Field(default_factory=_default_data_dir)
    """Where the embedded Postgres keeps its data. In a checkout: `.boring` beside `langgraph.json`."""
    cache_dir: Path = Field(default_factory=_default_cache_dir)
    """Where fetched model files are kept, shared by all checkouts of one user."""

    database_url: SecretStr | None = Field(
        default=None, validation_alias=AliasChoices("DATABASE_URL", "database_url")
    )
    """A Postgres with pgvector, as `postgresql://user:password@host:port/name`. Unset: the embedded one."""
    database_pool_size: int = Field(default=10, ge=2, le=200)
    """Most connections this process holds at once."""
    lease_s: float = Field(default=30.0, ge=1.0, le=86_400.0)
    """Seconds that this process may stand still before others may take its threads over."""

    openai_api_key: SecretStr | None = Field(
        default=None, validation_alias=AliasChoices("OPENAI_API_KEY", "openai_api_key")
    )
    openai_base_url: str | None = Field(
        default=None, validation_alias=AliasChoices("OPENAI_BASE_URL", "OPENAI_API_BASE", "openai_base_url")
    )
    """An OpenAI-compatible endpoint. With neither a key nor this set, the embedded model answers."""
    model: str | None = None
    """The model's name at the endpoint, or `embedded` or `embedded-small`."""
    fallback_models: Names = ()
    """Models at the same endpoint, or the embedded ones, asked in this order when `model` can't be used."""
    planner: Literal["auto", "tools", "schema"] = "auto"
    """How the model plans: by tool calling, by one structured answer, or as its profile says."""
    model_path: Path | None = None
    """A GGUF file to use in place of the pinned weights of the embedded model."""
    model_threads: int | None = Field(default=None, ge=1, le=256)
    """Threads of the embedded model. Unset: one for each core this process may use."""
    model_timeout_s: float = Field(default=300.0, gt=0)
    """How long one call of the model may take."""
    model_max_tokens: int = Field(default=512, ge=16, le=65536)
    """Most tokens of one answer."""

    mcp: Path | None = None
    """A JSON file that names MCP servers, see docs/mcp.md. Unset: there are none."""
    mcp_trust_first_use: bool = True
    """Whether the tools of an MCP server that was never seen are taken as they are at that moment."""

    embedding_model: str | None = None
    """The embedding model's name at `embedding_base_url`. Unset: the embedded one."""
    embedding_base_url: str | None = None
    embedding_api_key: SecretStr | None = None
    embedding_query_prefix: str = ""
    """What the endpoint's embedding model wants before a question, such as `query: `."""
    embedding_document_prefix: str = ""
    """What it wants before a text that is searched, such as `passage: `."""

    memory_exact_rows: int = Field(default=5000, ge=100)
    """Up to how many memories a namespace is searched by looking at all of them; beyond, it gets indexes."""

    memory: bool = False
    """Whether the reference agents recall what is known of the user, and learn from their turns."""

    files_dir: Path | None = None
    """The one folder that the file tools read and write."""
    query_dir: Path | None = None
    """The one folder whose CSV, Parquet and JSON files `query_data` reads."""
    query_memory_mb: int = Field(default=512, ge=64)
    """Most mebibytes that one query over files may take."""
    query_database_url: SecretStr | None = None
    """The Postgres that `query_database` reads, under a role that can do nothing but read."""
    web_hosts: Names = ()
    """Hosts, as `name` or `name:port`, that `web_fetch` may reach although their addresses are private."""
    http_hosts: Names = ()
    """The only hosts that `http_request` may reach: `name` for https, `name:port` for http or https there."""
    smtp_host: str | None = None
    """The mail server of `send_email`."""
    smtp_port: int = Field(default=587, ge=1, le=65535)
    smtp_username: str | None = None
    smtp_password: SecretStr | None = None
    smtp_from: str | None = None
    """The address that e-mail is sent from."""
    smtp_security: Literal["starttls", "tls", "none"] = "starttls"
    """`tls` from the first byte (usually port 465), `starttls` after a greeting, `none` on one machine."""
    smtp_domains: Names = ()
    """The only domains that e-mail may go to."""

    retention_idle_days: float | None = Field(default=None, gt=0, le=36_500)
    """Threads that nobody has used for so many days go at the next sweep. Unset: they stay."""
    retention_checkpoints: int | None = Field(default=None, ge=1)
    """How many of the newest checkpoints of a thread a sweep keeps. Unset: all."""

    prices: dict[str, Price] = Field(default_factory=dict[str, Price])
    """US dollars for a million tokens of own models, as JSON: `{"my-model": {"input": 0.5, "output": 2}}`."""

    roles: dict[str, tuple[str, ...]] = Field(default_factory=dict[str, tuple[str, ...]])
    """Who has which role in chains of approval, as JSON: `{"manager": ["alice", "bob"]}`."""

    rules_activation: Literal["person", "eval"] = "person"
    """What makes a proposed rule active: only a person, or also a trial in which it beats the active one."""
    rules_explicit: Literal["person", "auto"] = "person"
    """Whether what users say for themselves "from now on" waits for a person, or is followed at once."""
    rules_max_tokens: int = Field(default=800, ge=50, le=32_000)
    """Most tokens of the rules that the model is told in a turn, by estimate."""

    @field_validator(
        "database_url",
        "openai_api_key",
        "openai_base_url",
        "model",
        "embedding_model",
        "files_dir",
        "query_dir",
        "query_database_url",
        "smtp_host",
        "smtp_username",
        "smtp_password",
        "smtp_from",
        "mcp",
        mode="before",
    )
    @classmethod
    def _empty_is_unset(cls, value: object) -> object:
        return None if isinstance(value, str) and not value.strip() else value

    @field_validator("openai_base_url", "embedding_base_url")
    @classmethod
    def _can_be_asked(cls, value: str | None) -> str | None:
        if value and not is_address(value):
            raise PydanticCustomError("address", "Input should be like https://models.example.com/v1")
        return value

    @field_validator("web_hosts", "http_hosts", "smtp_domains", mode="before")
    @classmethod
    def _split_at_commas(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return tuple(name for part in value.split(",") if (name := part.strip().lower()))

    @field_validator("fallback_models", mode="before")
    @classmethod
    def _split_with_capitals_kept(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return tuple(name for part in value.split(",") if (name := part.strip()))


def filled_in(text: str) -> str:
    """Return `text` with each `${VARIABLE}` replaced by what the environment holds for it.

    Raises:
        ConfigurationError: a variable is not set; the message names it and nothing else of `text`.
    """

    def value(reference: re.Match[str]) -> str:
        held = os.environ.get(reference[1])
        if held is None:
            raise ConfigurationError(f"${{{reference[1]}}} is not set. Set it, or write the value itself.")
        return held

    return re.sub(r"\$\{([^}]*)\}", value, text)


def load_settings() -> Settings:
    """Read the environment.

    Raises:
        ConfigurationError: a variable holds something it may not; the message names it.
    """
    try:
        return Settings()  # pyright: ignore[reportCallIssue]
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        variable = name if name.isupper() else f"BORING_{name.upper()}"
        held = first["input"]
        raise _refused(
            variable, shown_address(held) if isinstance(held, str) else held, first["msg"]
        ) from error
    except SettingsError as error:  # tells the field and nothing else
        named = _FIELD.search(str(error))
        variable = f"BORING_{named[1].upper()}" if named else "A variable"
        raise _refused(
            variable, os.environ.get(variable), f"Input should be JSON ({error.__cause__})"
        ) from error


def _refused(variable: str, held: object, why: str) -> ConfigurationError:
    return ConfigurationError(f"{variable} holds {held!r}: {why}. Set it to an allowed value or unset it.")


@lru_cache(maxsize=1)
def settings() -> Settings:
    """Return the settings of this process, read once."""
    return load_settings()
