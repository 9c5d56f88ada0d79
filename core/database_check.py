"""Find out in seconds why a database can't be used, and say what to do about it.

No message here repeats the text of libpq where that could hold a part of the password.
"""

import psycopg
from psycopg import AsyncConnection
from psycopg.conninfo import conninfo_to_dict

from core.errors import DatabaseError

_CONNECT_S = 5
_PGVECTOR = """
    select exists (select from pg_available_extensions where name = 'vector')
        or exists (select from pg_extension where extname = 'vector')
"""


async def check_database(url: str) -> None:
    """Connect once, and see that the server has pgvector.

    Raises:
        DatabaseError: it can't be used as it is.
    """
    where = _described(url)
    try:
        connection = await AsyncConnection.connect(url, autocommit=True, connect_timeout=_CONNECT_S)
    except psycopg.OperationalError as error:
        raise _unreachable(url, where, str(error)) from None
    async with connection:
        row = await (await connection.execute(_PGVECTOR)).fetchone()
    if row is None or not row[0]:
        raise DatabaseError(
            f"The Postgres at {where} has no pgvector. Install it on that server (the package"
            " `postgresql-<version>-pgvector`, or the image `pgvector/pgvector`), or unset DATABASE_URL to"
            " use the embedded Postgres."
        )


def _described(url: str) -> str:
    """Return where the address leads, without its password."""
    malformed = DatabaseError(
        "DATABASE_URL can't be read as an address. It has to be of the form"
        " postgresql://user:password@host:port/name, where characters of the password other than letters,"
        " digits and -._~ are percent-encoded (`@` is %40, `/` is %2F). Its value is not shown, since it may"
        " hold a password."
    )
    if not url.startswith(("postgresql://", "postgres://")):
        raise malformed
    try:
        parts = conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        raise malformed from None
    host, port, name = (str(parts.get(key) or "") for key in ("host", "port", "dbname"))
    if "@" in host + port + name:
        # An `@` or `/` in the password has shifted what follows it.
        raise malformed
    return f"{host or 'the local socket'}{f':{port}' if port else ''}"


def _unreachable(url: str, where: str, said: str) -> DatabaseError:
    parts = conninfo_to_dict(url)
    user, name = parts.get("user") or "(the system's user)", parts.get("dbname")
    if "password authentication failed" in said or "no password supplied" in said:
        return DatabaseError(
            f"The Postgres at {where} did not accept the password of the user {user}. Correct it in"
            " DATABASE_URL."
        )
    if "database" in said and "does not exist" in said:
        return DatabaseError(
            f"The Postgres at {where} has no database {name}. Create it (`createdb {name}`) or correct"
            " DATABASE_URL."
        )
    if "role" in said and "does not exist" in said:
        return DatabaseError(
            f"The Postgres at {where} has no user {user}. Create it or correct DATABASE_URL."
        )
    if "refused" in said or "No such file" in said:
        return DatabaseError(
            f"No Postgres answers at {where}: the connection was refused. Start it, correct host and port in"
            " DATABASE_URL, or unset DATABASE_URL to use the embedded Postgres."
        )
    if "timeout" in said or "timed out" in said:
        return DatabaseError(
            f"The Postgres at {where} did not answer within {_CONNECT_S} s. See that this machine can reach"
            " it, or correct DATABASE_URL."
        )
    first = said.strip().splitlines()[0] if said.strip() else "no reason given"
    password = parts.get("password")
    if password:
        first = first.replace(str(password), "***")
    return DatabaseError(
        f"Connecting to the Postgres at {where} failed: {first}. Correct DATABASE_URL or that server."
    )
