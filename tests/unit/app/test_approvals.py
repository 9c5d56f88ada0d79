"""`boring approvals` on a run that waits: found, shown, decided, gone on with."""

import asyncio

import psycopg

from tests.unit.app.approval_desk import Desk


async def test_a_request_is_found_shown_decided_and_its_run_goes_on(desk: Desk) -> None:
    (row,) = await desk.told()
    name = row["id"][:8]
    assert (row["tool"], row["arguments"], row["status"]) == ("pay", {"amount": 500}, "open")
    listed = await desk.boring("approvals")
    assert listed.splitlines()[1].split("\t")[2:] == [
        *("pay", '{"amount": 500}', "local", "waits for clerk", "rent")
    ]
    assert "bob has none of the roles" in await desk.boring(
        "approvals", "approve", name, "--by", "bob", code=2
    )
    assert await desk.boring("approvals", "approve", name, "--by", "carl") == (
        f"{name} waits for manager (0 of 2).\n"
    )
    assert "is about other arguments" in await desk.boring(
        "approvals", "approve", name, "--by", "ann", "--hash", "abc", code=2
    )
    shown = await desk.boring("approvals", "show", name)
    assert "level clerk (agreed): 1 of carl; agreed: carl" in shown
    assert "approve by carl as clerk" in shown
    words = ("approvals", "approve", name, "--hash", row["arguments_hash"][:12], "--by")
    async with asyncio.TaskGroup() as group:  # two processes at the same moment
        pressed = [group.create_task(desk.boring(*words, who)) for who in ("ann", "bob")]
    assert sorted("It is paid." in task.result() for task in pressed) == [False, True]
    assert desk.paid() == ["500"]
    assert await desk.boring("approvals") == "Nothing waits for approval.\n"
    assert (await desk.told("--all"))[0]["status"] == "approved"
    verified = await desk.told("verify")
    assert (verified["whole"], verified["rows"]) == (True, 5)


async def test_a_rejection_with_its_reason_ends_the_wait(desk: Desk) -> None:
    (row,) = await desk.told()
    words = ("approvals", "reject", row["id"], "--by", "carl", "--with", "too dear")
    assert "It is paid." in await desk.boring(*words)  # what the scripted model says to anything
    assert (desk.paid(), (await desk.told("--all"))[0]["result"]) == ([], "too dear")


async def test_an_edit_asks_the_levels_again_and_an_answer_needs_no_tool(desk: Desk) -> None:
    (row,) = await desk.told()
    name = row["id"]
    assert "is no JSON" in await desk.boring("approvals", "edit", name, "--args", "{", code=2)
    assert "expected a JSON object" in await desk.boring("approvals", "edit", name, "--args", "[]", code=2)
    words = ("edit", name, "--by", "carl", "--args", '{"amount": 400}')
    await desk.boring("approvals", *words, code=5)
    shown = await desk.told("show", name)
    assert (shown["arguments"], [one["event"] for one in shown["audit"]]) == (
        {"amount": 400},
        ["request", "edit", "renew"],
    )
    told = await desk.told("respond", name, "--by", "ann", "--with", "done by hand", "--no-resume")
    assert (told["status"], desk.paid()) == ("answered", [])
    assert "It is paid." in await desk.boring("resume", "rent", "--graph", "shop")
    assert desk.paid() == []


async def test_words_that_count_for_nothing_are_refused_in_words(desk: Desk) -> None:
    (row,) = await desk.told()
    deep = '{"amount": ' + "[" * 9_999 + "]" * 9_999 + "}"
    for words, why in (
        (("approve", row["id"], "--hash", ""), "--hash is empty"),
        (("edit", row["id"], "--args", deep), "--args is JSON that is nested too deep"),
        (("edit", row["id"], "--args", f'{{"amount": {2**64}}}'), "an integer has more than 63 bits"),
    ):
        assert why in await desk.boring("approvals", *words, code=2)
    assert (await desk.told())[0]["version"] == 1


async def test_words_that_are_no_utf_8_settle_no_request(desk: Desk) -> None:
    (row,) = await desk.told()
    words = ("reject", row["id"], "--by", "carl", "--with", "too \udcff dear")
    told = await desk.boring("approvals", *words, code=2)
    assert '"too \\udcff dear" is not in UTF-8' in told
    assert (await desk.told())[0]["version"] == 1


async def test_a_request_that_there_is_not_is_named(desk: Desk) -> None:
    assert "There is no request 'f_'" in await desk.boring("approvals", "show", "f_", code=2)


async def test_a_record_that_was_tampered_with_ends_with_code_1(desk: Desk) -> None:
    with psycopg.connect(desk.url) as connection:
        connection.execute("alter table boring.audit disable trigger audit_only_grows")
        connection.execute("update boring.audit set who = 'mallory'")
    told = await desk.boring("approvals", "verify", code=1)
    assert told == "The audit record is broken at row 1: row 1 was changed.\n"


async def test_a_request_that_was_tampered_with_is_named(desk: Desk) -> None:
    (row,) = await desk.told()
    with psycopg.connect(desk.url) as connection:
        connection.execute("update boring.approval set requester = 'nobody'")
    told = await desk.boring("approvals", "verify", code=1)
    why = "its row says something else than the record: requester"
    assert told.splitlines()[1] == f"The request {row['id']} was tampered with: {why}."
    assert (await desk.told("verify", code=1))["requests"] == {row["id"]: why}
