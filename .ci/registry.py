"""How pip and uv reach the package registry on this machine: certificates, index, proxy, patience.

What the user set always wins. The rest makes two common cases work unasked: a network that signs TLS
with its own certificate (which is then in the system's store), and an index configured for pip only.
"""

import ast
import ssl
import subprocess
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

Environment = dict[str, str]

BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Ubuntu, Alpine, Arch
    "/etc/pki/tls/certs/ca-bundle.crt",  # Red Hat, Fedora
    "/etc/ssl/ca-bundle.pem",  # SUSE
    "/etc/ssl/cert.pem",  # macOS, BSD
)
_PIP_TRUSTS_THE_SYSTEM_SINCE = (24, 2)


def system_bundle() -> str | None:
    """Return the system's certificates as one file, if there is one."""
    named = ssl.get_default_verify_paths().cafile
    return next((path for path in (named, *BUNDLES) if path and Path(path).is_file()), None)


def pip_settings() -> dict[str, str]:
    """Return what pip is configured to do, by its own account: `{"index-url": ..., "cert": ...}`."""
    command = [sys.executable, "-P", "-m", "pip", "config", "list"]
    listed = subprocess.run(command, check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    settings: dict[str, tuple[int, str]] = {}
    for line in listed.stdout.splitlines():
        name, _, value = line.partition("=")
        section, _, key = name.rpartition(".")
        rank = {"global": 0, "install": 1, ":env:": 2}.get(section, -1)
        if rank >= settings.get(key, (0, ""))[0] and value[:1] in {"'", '"'}:
            settings[key] = (rank, str(ast.literal_eval(value)))
    return {key: value for key, (_, value) in settings.items()}


def pip_environment(user: Mapping[str, str], settings: Mapping[str, str]) -> Environment:
    """Return the environment to run pip in."""
    env = dict(user)
    for name in ("PIP_PREFIX", "PIP_ROOT", "PIP_TARGET", "PYTHONHOME", "PYTHONPATH"):
        env.pop(name, None)
    # These hold for this one call: it installs into a folder of the project and nowhere else.
    env |= {"PIP_REQUIRE_VIRTUALENV": "0", "PIP_USER": "0", "PIP_NO_INPUT": "1"}
    env |= {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_ROOT_USER_ACTION": "ignore"}
    if "timeout" not in settings and "default-timeout" not in settings:
        env["PIP_DEFAULT_TIMEOUT"] = "60"
    own = {"PIP_CERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"}
    if "cert" not in settings and own.isdisjoint(user) and _pip_brings_its_own_certificates():
        bundle = user.get("SSL_CERT_FILE") or system_bundle()
        if bundle:
            env["PIP_CERT"] = bundle
    return env


def uv_environment(user: Mapping[str, str], settings: Mapping[str, str], tools: Path) -> Environment:
    """Return the environment to run uv in; its cache goes to `tools` if the user has no place for one."""
    env = dict(user)
    for name in ("PYTHONHOME", "PYTHONPATH", "UV_SYSTEM_PYTHON", "VIRTUAL_ENV"):
        env.pop(name, None)
    env |= {"UV_PYTHON_DOWNLOADS": "never", "UV_NO_PROGRESS": "1"}
    if not {"UV_SYSTEM_CERTS", "UV_NATIVE_TLS"} & set(user) and (system_bundle() or sys.platform == "darwin"):
        env["UV_SYSTEM_CERTS"] = "true"
    if "cert" in settings:
        env.setdefault("SSL_CERT_FILE", settings["cert"])
    if "index-url" in settings and "UV_INDEX_URL" not in user:
        env.setdefault("UV_DEFAULT_INDEX", settings["index-url"])
    if settings.get("no-index", "").lower() in {"1", "true", "yes", "on"}:
        env.setdefault("UV_NO_INDEX", "1")
        env.setdefault("UV_FIND_LINKS", ",".join(settings.get("find-links", "").split()))
    if "trusted-host" in settings:
        env.setdefault("UV_INSECURE_HOST", settings["trusted-host"])
    if "proxy" in settings and not {"ALL_PROXY", "HTTPS_PROXY", "https_proxy", "all_proxy"} & set(user):
        env["ALL_PROXY"] = settings["proxy"]
    env.setdefault("UV_HTTP_TIMEOUT", settings.get("timeout") or settings.get("default-timeout") or "60")
    if "UV_CACHE_DIR" not in user and not _has_a_cache_folder(user):
        env["UV_CACHE_DIR"] = str(tools / "cache")
    return env


def _pip_brings_its_own_certificates() -> bool:
    try:
        version = metadata.version("pip")
    except metadata.PackageNotFoundError:
        return True
    return (
        tuple(int(part) for part in version.split(".")[:2] if part.isdigit()) < _PIP_TRUSTS_THE_SYSTEM_SINCE
    )


def _has_a_cache_folder(user: Mapping[str, str]) -> bool:
    """Tell whether a folder can be made where uv keeps its cache by default."""
    base = (
        Path(user["XDG_CACHE_HOME"])
        if user.get("XDG_CACHE_HOME")
        else Path(user.get("HOME") or "~") / ".cache"
    )
    try:
        (base.expanduser() / "uv").mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):
        return False
    return True
