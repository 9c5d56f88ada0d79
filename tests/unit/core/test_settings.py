import re

import pytest

from core.errors import ConfigurationError
from core.settings import load_settings


def test_hosts_and_domains_are_read_with_commas_between_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BORING_HTTP_HOSTS", "api.example.com, Localhost:8080,")
    monkeypatch.setenv("BORING_SMTP_DOMAINS", "")
    assert load_settings().http_hosts == ("api.example.com", "localhost:8080")
    assert load_settings().smtp_domains == ()


def test_names_of_models_keep_their_capitals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BORING_FALLBACK_MODELS", "Qwen/Qwen3-8B, embedded,")
    assert load_settings().fallback_models == ("Qwen/Qwen3-8B", "embedded")


@pytest.mark.parametrize("variable", ["BORING_FILES_DIR", "BORING_QUERY_DIR", "BORING_SMTP_HOST"])
def test_what_is_set_to_nothing_is_unset(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, " ")
    assert getattr(load_settings(), variable.removeprefix("BORING_").lower()) is None


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("BORING_SMTP_PORT", "70000"),
        ("BORING_SMTP_SECURITY", "maybe"),
        ("BORING_QUERY_MEMORY_MB", "1"),
    ],
)
def test_a_wrong_setting_of_a_tool_is_named(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigurationError, match=f"{variable} holds '{value}'"):
        load_settings()


def test_secrets_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BORING_SMTP_PASSWORD", "hunter22")
    monkeypatch.setenv("BORING_QUERY_DATABASE_URL", "postgresql://u:hunter22@h/d")
    assert "hunter22" not in repr(load_settings())


def test_how_content_is_kept_is_set_by_tenant(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BORING_CONTENT_OF", "acme=full, a=b=OFF,")
    found = load_settings()
    assert [found.content_for(one) for one in ("acme", "a=b", "other", None)] == [
        "full",
        "off",
        "redacted",
        "redacted",
    ]
    assert found.content_for("acme", "other") == "redacted"
    assert found.content_for(None, *found.content_of) == "off"


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ("acme", "'acme' is not a tenant, = and one of full, redacted, off"),
        ("acme=all", "'acme=all' is not a tenant"),
        ("=full", "'=full' is not a tenant"),
        ("acme=full,acme=off", "tenant 'acme' stands there twice"),
    ],
)
def test_a_list_of_tenants_that_can_t_be_read_is_refused(
    monkeypatch: pytest.MonkeyPatch, told: str, message: str
) -> None:
    monkeypatch.setenv("BORING_CONTENT_OF", told)
    with pytest.raises(ConfigurationError, match=f"BORING_CONTENT_OF.*{message}"):
        load_settings()


@pytest.mark.parametrize("variable", ["OPENAI_BASE_URL", "BORING_EMBEDDING_BASE_URL"])
@pytest.mark.parametrize(
    "address", ["nonsense", "ftp://host", "http://", "http://[::1", "http://h:x", "http://\x1bh"]
)
def test_an_address_that_can_t_be_asked_is_refused(
    monkeypatch: pytest.MonkeyPatch, variable: str, address: str
) -> None:
    monkeypatch.setenv(variable, address)
    with pytest.raises(ConfigurationError, match=f"{variable} holds {re.escape(repr(address))}: .*https://"):
        load_settings()


def test_an_address_is_told_without_the_login_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://me:hunter22@host:x")
    with pytest.raises(ConfigurationError, match="holds 'http://host:x'"):
        load_settings()


@pytest.mark.parametrize("variable", ["BORING_PRICES", "BORING_ROLES"])
def test_what_has_to_be_json_and_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, "manager=ann")
    with pytest.raises(ConfigurationError, match=f"{variable} holds 'manager=ann': .*JSON"):
        load_settings()
