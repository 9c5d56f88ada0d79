"""Alembic, driven from code: no file in the project's root, and no logging set-up."""

from pathlib import Path

import psycopg
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from core.migrations.apply import SCHEMA


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    return config


def known_revisions() -> frozenset[str]:
    """Return the revisions that this code can start from."""
    steps = ScriptDirectory.from_config(_config()).walk_revisions()
    return frozenset(step.revision for step in steps)


def head_revision() -> str | None:
    """Return the newest step among the files."""
    return ScriptDirectory.from_config(_config()).get_current_head()


def upgrade(url: str) -> None:
    """Apply what is missing, all of it in one transaction. The caller holds the setup lock. This blocks."""
    # The address goes to psycopg as it is: SQLAlchemy's own form of it has other rules.
    engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(url), poolclass=NullPool)
    config = _config()
    with engine.begin() as connection:
        connection.execute(text(f"create schema if not exists {SCHEMA}"))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
