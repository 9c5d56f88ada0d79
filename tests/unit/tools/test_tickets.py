from collections.abc import Awaitable, Callable
from typing import Any

import psycopg
import pytest
from psycopg.rows import DictRow, dict_row
from pydantic import ValidationError

from core.errors import ToolError
from core.process import Process
from tools.tickets import ticket_desk

CREATE, UPDATE, LIST, SHOW = ticket_desk()

Changing = Callable[..., Awaitable[str]]


@pytest.fixture
async def changing(process: Process, called: Any) -> Changing:
    """Return a function that calls a transactional tool and commits, as the runtime does."""
    pool = (await process.database()).pool

    async def change(tool: Any, **given: Any) -> str:
        async with pool.connection() as connection, connection.transaction():
            return await called(tool, injected={"transaction": connection}, **given)

    return change


async def test_a_ticket_is_opened_changed_and_shown(changing: Changing, called: Any) -> None:
    said = await changing(CREATE, title="Fix the lamp", body="It flickers.", user="ann")
    assert said == "Opened ticket 1 [open, normal] Fix the lamp"
    await changing(UPDATE, ticket_id=1, status="waiting", priority="high")
    shown = await called(SHOW, ticket_id=1)
    assert shown.startswith("1 [waiting, high] Fix the lamp\nopened by ann at ")
    assert shown.endswith("\n\nIt flickers.")


async def test_a_change_leaves_alone_what_it_does_not_name(changing: Changing, called: Any) -> None:
    await changing(CREATE, title="Lamp", body="Old.", priority="low")
    await changing(UPDATE, ticket_id=1, body="New.")
    shown = await called(SHOW, ticket_id=1)
    assert shown.startswith("1 [open, low] Lamp\n")
    assert shown.endswith("New.")


async def test_tickets_of_another_tenant_do_not_exist(changing: Changing, called: Any) -> None:
    await changing(CREATE, title="Secret", tenant="a")
    assert await called(LIST, tenant="b", status="any") == "There are no such tickets."
    with pytest.raises(ToolError, match="There is no ticket 1"):
        await called(SHOW, tenant="b", ticket_id=1)
    with pytest.raises(ToolError, match="There is no ticket 1"):
        await changing(UPDATE, tenant="b", ticket_id=1, status="closed")
    assert "[open, normal]" in await called(SHOW, tenant="a", ticket_id=1)


async def test_the_list_is_by_status_newest_first_and_says_what_is_left_out(
    changing: Changing, called: Any
) -> None:
    for title in ("one", "two", "three"):
        await changing(CREATE, title=title)
    await changing(UPDATE, ticket_id=2, status="closed")
    assert await called(LIST) == "3 [open, normal] three\n1 [open, normal] one"
    assert await called(LIST, status="any", limit=1) == "3 [open, normal] three\n[2 older ones left out]"


async def test_one_s_own_tickets_can_be_told_from_the_others(changing: Changing, called: Any) -> None:
    await changing(CREATE, title="hers", user="ann")
    await changing(CREATE, title="his", user="bob")
    assert await called(LIST, mine=True, user="ann") == "1 [open, normal] hers"


async def test_a_change_that_is_rolled_back_was_never_made(process: Process, called: Any) -> None:
    database = await process.database()
    opening: Any = psycopg.AsyncConnection[DictRow].connect(database.url, row_factory=dict_row)
    async with await opening as connection:
        await called(CREATE, injected={"transaction": connection}, title="Lamp")
        await connection.rollback()
    assert await called(LIST, status="any") == "There are no such tickets."


async def test_a_change_of_nothing_is_refused(changing: Changing) -> None:
    await changing(CREATE, title="Lamp")
    with pytest.raises(ToolError, match="give at least one of"):
        await changing(UPDATE, ticket_id=1)


async def test_text_that_can_not_be_stored_is_marked(changing: Changing, called: Any) -> None:
    await changing(CREATE, title="a\0b", body="'; drop table boring.ticket; --")
    assert "a\ufffdb" in await called(SHOW, ticket_id=1)


@pytest.mark.parametrize(
    "given", [{"ticket_id": 0}, {"ticket_id": 2**63}, {"ticket_id": 1, "status": "done"}]
)
def test_wrong_arguments_never_reach_the_database(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        UPDATE.arguments.model_validate(given)


def test_the_model_does_not_see_the_connection() -> None:
    assert "transaction" not in CREATE.arguments_schema()["properties"]
