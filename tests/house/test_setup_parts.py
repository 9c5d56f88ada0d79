import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


def script(name: str) -> Any:
    """Load a script of `.ci` as a module."""
    spec = importlib.util.spec_from_file_location(f"ci_{name}", ROOT / ".ci" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


registry, diagnose = script("registry"), script("diagnose")


@pytest.fixture
def bundle(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """A machine with system certificates, a pip that does not look at them, and a home."""
    path = tmp_path / "bundle.pem"
    path.touch()
    monkeypatch.setattr(registry, "system_bundle", lambda: str(path))
    monkeypatch.setattr(registry.metadata, "version", {"pip": "23.0.1"}.__getitem__)
    return str(path)


def uv(user: dict[str, str], settings: dict[str, str], home: Path) -> dict[str, str]:
    return registry.uv_environment({"HOME": str(home), **user}, settings, home / "tools")


def test_pip_and_uv_trust_what_the_system_trusts(bundle: str, tmp_path: Path) -> None:
    assert registry.pip_environment({}, {})["PIP_CERT"] == bundle
    assert uv({}, {}, tmp_path)["UV_SYSTEM_CERTS"] == "true"


def test_a_pip_that_trusts_the_system_is_left_alone(bundle: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry.metadata, "version", {"pip": "24.2"}.__getitem__)
    assert bundle not in registry.pip_environment({}, {}).values()


def test_without_system_certificates_nothing_is_set(
    bundle: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(registry, "system_bundle", lambda: None)
    monkeypatch.setattr(sys, "platform", "linux")
    assert bundle not in registry.pip_environment({}, {}).values()
    assert "UV_SYSTEM_CERTS" not in uv({}, {}, tmp_path)


@pytest.mark.parametrize("name", ["PIP_CERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
@pytest.mark.usefixtures("bundle")
def test_certificates_that_the_user_set_for_pip_stay(name: str) -> None:
    env = registry.pip_environment({name: "/mine.pem"}, {})
    assert {key: value for key, value in env.items() if value.endswith(".pem")} == {name: "/mine.pem"}


@pytest.mark.usefixtures("bundle")
def test_certificates_of_the_configuration_of_pip_stay_and_serve_uv_too(tmp_path: Path) -> None:
    assert "PIP_CERT" not in registry.pip_environment({}, {"cert": "/configured.pem"})
    assert uv({}, {"cert": "/configured.pem"}, tmp_path)["SSL_CERT_FILE"] == "/configured.pem"
    assert uv({"SSL_CERT_FILE": "/mine.pem"}, {"cert": "/c.pem"}, tmp_path)["SSL_CERT_FILE"] == "/mine.pem"


@pytest.mark.parametrize("name", ["UV_SYSTEM_CERTS", "UV_NATIVE_TLS"])
@pytest.mark.usefixtures("bundle")
def test_what_the_user_set_for_uv_stays(name: str, tmp_path: Path) -> None:
    env = uv({name: "false"}, {}, tmp_path)
    assert {key: env.get(key) for key in ("UV_SYSTEM_CERTS", "UV_NATIVE_TLS") if key in env} == {
        name: "false"
    }


def test_uv_uses_the_index_that_pip_is_configured_with(tmp_path: Path) -> None:
    settings = {
        "index-url": "https://index.example/simple",
        "trusted-host": "index.example",
        "proxy": "http://p:1",
    }
    env = uv({}, settings, tmp_path)
    assert env["UV_DEFAULT_INDEX"] == "https://index.example/simple"
    assert env["UV_INSECURE_HOST"] == "index.example"
    assert env["ALL_PROXY"] == "http://p:1"
    own = uv({"UV_DEFAULT_INDEX": "mine", "HTTPS_PROXY": "http://q:1"}, settings, tmp_path)
    assert own["UV_DEFAULT_INDEX"] == "mine"
    assert "ALL_PROXY" not in own
    assert "UV_DEFAULT_INDEX" not in uv({"UV_INDEX_URL": "mine"}, settings, tmp_path)


def test_a_folder_of_wheels_serves_where_no_index_is_allowed(tmp_path: Path) -> None:
    env = uv({}, {"no-index": "true", "find-links": "/a /b"}, tmp_path)
    assert (env["UV_NO_INDEX"], env["UV_FIND_LINKS"]) == ("1", "/a,/b")
    assert "UV_FIND_LINKS" not in uv({}, {"find-links": "/a"}, tmp_path)


def test_another_environment_of_the_user_does_not_leak_in(tmp_path: Path) -> None:
    leaks = {
        "VIRTUAL_ENV": "/x",
        "PYTHONPATH": "/x",
        "PYTHONHOME": "/x",
        "UV_SYSTEM_PYTHON": "1",
        "PIP_TARGET": "/x",
    }
    assert not {"VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME", "UV_SYSTEM_PYTHON"} & set(uv(leaks, {}, tmp_path))
    env = registry.pip_environment({**leaks, "PIP_USER": "1", "PIP_REQUIRE_VIRTUALENV": "1"}, {})
    assert not {"PIP_TARGET", "PYTHONPATH", "PYTHONHOME"} & set(env)
    assert (env["PIP_USER"], env["PIP_REQUIRE_VIRTUALENV"]) == ("0", "0")


def test_the_cache_of_uv_goes_to_the_checkout_when_there_is_no_home(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.touch()
    assert uv({"HOME": str(blocked)}, {}, tmp_path)["UV_CACHE_DIR"] == str(tmp_path / "tools" / "cache")
    assert "UV_CACHE_DIR" not in uv({}, {}, tmp_path)
    assert uv({"HOME": str(blocked), "UV_CACHE_DIR": "/mine"}, {}, tmp_path)["UV_CACHE_DIR"] == "/mine"


def test_the_settings_of_pip_are_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    config = tmp_path / "pip.conf"
    first, second = "https://a.example/simple", "https://b.example/"
    config.write_text(f"[global]\nindex-url = {first}\ntimeout = 7\n[install]\nindex-url = {second}\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(config))
    monkeypatch.delenv("PIP_DEFAULT_TIMEOUT", raising=False)
    monkeypatch.setenv("PIP_PROXY", "http://it's:1")
    settings = registry.pip_settings()
    assert settings["index-url"] == second
    assert (settings["timeout"], settings["proxy"]) == ("7", "http://it's:1")


@pytest.mark.parametrize(
    ("output", "advice"),
    [
        ("cause: failed to copy: No space left on device (os error 28)", "disk is full"),
        ("Caused by: invalid peer certificate: UnknownIssuer\n error sending request", "not trusted"),
        ("SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED]'))", "not trusted"),
        ("Failed to fetch\n  dns error: failed to lookup address information", "can't be reached"),
        (
            "NewConnectionError: [Errno 111] Connection refused\nERROR: No matching distribution found",
            "can't be reached",
        ),
        ("Hash mismatch for `x==1`", "not the one that was locked"),
        ("HTTP status client error (401 Unauthorized) for url", "refused access"),
        ("x==1 has no wheels with a matching platform tag", "no prebuilt package"),
        ("error: failed to create directory: Permission denied (os error 13)", "belong to you"),
        ("something else entirely", "lines below"),
    ],
)
def test_a_failed_step_says_what_to_do(output: str, advice: str, tmp_path: Path) -> None:
    message = diagnose.explain("Installing uv", output, tmp_path)
    assert message.startswith("Installing uv failed")
    assert advice in message
    assert output.splitlines()[-1] in message
