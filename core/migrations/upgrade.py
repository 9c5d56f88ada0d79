"""Alembic, driven from code: no file in the project's root, and no logging set-up."""

from pathlib import Path

import psycopg
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, inspect
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool
from sqlalchemy.schema import CreateSchema

from core.errors import DatabaseError
from core.migrations.names import SCHEMA


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
    """Apply what is missing, all of it in one transaction. The caller holds the setup lock. This blocks.

    Raises:
        DatabaseError: the database refused a step.
    """
    # The address goes to psycopg as it is: SQLAlchemy's own form of it has other rules.
    engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(url), poolclass=NullPool)
    config = _config()
    try:
        with engine.begin() as connection:
            # `if not exists` would need the right to create one even where an administrator has.
            if not inspect(connection).has_schema(SCHEMA):
                connection.execute(CreateSchema(SCHEMA))
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except DBAPIError as error:
        raise _refused(error.orig) from error


def _refused(error: BaseException | None) -> DatabaseError:
    """Return the error for a step that the database refused."""
    said = (error.diag.message_primary if isinstance(error, psycopg.Error) else None) or str(error)
    todo = "See the server's log, and try again: nothing was changed."
    if isinstance(error, psycopg.errors.InsufficientPrivilege):
        todo = (
            "Nothing was changed. Let an administrator run `create extension vector; create schema boring"
            " authorization <role>` in that database, <role> being the user in DATABASE_URL."
        )
    return DatabaseError(f"The database refused a step of the schema: {said}. {todo}")
