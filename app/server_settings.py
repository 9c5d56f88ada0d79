"""What the development server is told: `langgraph.json`, as the variables it reads."""

import json
from pathlib import Path
from typing import Any

from core.errors import ConfigurationError
from core.settings import Settings

_SECTIONS = {
    "graphs": "LANGSERVE_GRAPHS",
    "checkpointer": "LANGGRAPH_CHECKPOINTER",
    "store": "LANGGRAPH_STORE",
    "auth": "LANGGRAPH_AUTH",
    "http": "LANGGRAPH_HTTP",
    "webhooks": "LANGGRAPH_WEBHOOKS",
    "ui": "LANGGRAPH_UI",
    "ui_config": "LANGGRAPH_UI_CONFIG",
}


def read_server_file(file: Path) -> dict[str, Any]:
    """Return what a `langgraph.json` holds; paths in it count from its folder.

    Raises:
        ConfigurationError: there is no such file, or it is none of this kind.
    """
    try:
        given = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(
            f"{file}, which names the graphs to serve, can't be read ({error.strerror}). Run `boring serve` "
            "in a checkout of the project, or name another such file with --config."
        ) from error
    except ValueError as error:
        raise ConfigurationError(f"{file} is not JSON: {error}. Correct it.") from error
    if not isinstance(given, dict) or not given.get("graphs"):
        raise ConfigurationError(
            f"{file} names no graphs. It has to hold an object such as "
            '{"graphs": {"single": "graphs.single:graph"}}.'
        )
    return _rooted(given, file.absolute().parent)


def server_environment(
    given: dict[str, Any], settings: Settings, *, url: str, n_jobs_per_worker: int, log_level: str
) -> dict[str, str | None]:
    """Return the variables that the server reads at its import; None takes one away.

    Source: `langgraph_api.cli.run_server` 0.16.7, which sets the same ones for `langgraph dev`.

    Args:
        given: what `langgraph.json` holds.
        settings: of the process.
        url: the address that clients use.
        n_jobs_per_worker: most runs side by side.
        log_level: the least level that is logged.
    """
    sections = {
        variable: json.dumps(given[name]) if given.get(name) else None for name, variable in _SECTIONS.items()
    }
    return {
        **sections,
        "ALLOW_PRIVATE_NETWORK": "true",  # lets Studio's page, on https, reach a server on this machine
        "DATABASE_URI": ":memory:",
        "LANGGRAPH_ALLOW_BLOCKING": "false",
        "LANGGRAPH_API_URL": url,
        "LANGGRAPH_CLI_NO_ANALYTICS": "1",
        "LANGGRAPH_CLOUD_LICENSE_KEY": None,  # with one, figures of use are sent
        "LANGGRAPH_DISABLE_FILE_PERSISTENCE": "false",
        "LANGGRAPH_NO_VERSION_CHECK": "true",
        "LANGGRAPH_RUNTIME_EDITION": "inmem",
        # Untold, it is LangSmith's key; with that, figures of use are sent, and LangSmith's client traces.
        "LANGSMITH_CONTROL_PLANE_API_KEY": "",
        "LANGSMITH_LANGGRAPH_API_VARIANT": "local_dev",
        "LANGSMITH_TRACING": "true" if settings.langsmith_tracing else "false",
        "LOG_JSON": "true" if settings.log_format == "json" else None,
        "LOG_LEVEL": log_level,
        "MIGRATIONS_PATH": "__inmem",
        "N_JOBS_PER_WORKER": str(n_jobs_per_worker),
        "REDIS_URI": "fake",
    }


def _rooted(value: Any, root: Path) -> Any:
    """Return `value` with every path that begins with `./` made absolute."""
    if isinstance(value, dict):
        return {key: _rooted(inner, root) for key, inner in value.items()}
    if isinstance(value, list):
        return [_rooted(inner, root) for inner in value]
    return f"{root}/{value[2:]}" if isinstance(value, str) and value.startswith("./") else value
