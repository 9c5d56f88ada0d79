"""Requests for approval, decided in the console and followed to the end of their runs."""

import html
import re

import httpx

from tests.unit.app.approval_desk import Desk


async def form(visitor: httpx.AsyncClient) -> tuple[str, dict[str, str]]:
    """Return the address of the only request that waits, and the hidden fields of its form."""
    listed = (await visitor.get("/approvals")).text
    [address] = re.findall(r"/approvals/[0-9a-f-]{36}", listed)
    shown = (await visitor.get(address)).text
    hidden = re.findall(r'type="hidden" name="([a-z]+)" value="([^"]+)"', shown)
    return address, dict(hidden)


async def test_a_run_is_approved_level_by_level_and_followed_to_its_end(
    desk: Desk, visitor: httpx.AsyncClient
) -> None:
    address, hidden = await form(visitor)
    refused = await visitor.post(address, data={**hidden, "type": "approve", "by": "bob"})
    assert refused.status_code == 409
    assert "bob has none of the roles" in html.unescape(refused.text)
    for who in ("carl", "ann"):
        shown = await visitor.post(address, data={**hidden, "type": "approve", "by": who})
        assert shown.status_code == 200
        assert shown.url.path.endswith(address)
    assert "agreed: ann" in shown.text
    followed = await visitor.post(address, data={**hidden, "type": "approve", "by": "bob"})
    run = followed.url.path
    assert "/runs/" in run
    while 'class="status finished"' not in (text := (await visitor.get(run.removeprefix("/console"))).text):
        assert 'class="status running"' in text
    assert "execute_tool pay" in text
    assert desk.paid() == ["500"]
    assert "Nothing waits for approval" in (await visitor.get("/approvals")).text
    assert (await desk.told("verify"))["whole"]


async def test_a_rejection_ends_the_wait_with_its_reason(desk: Desk, visitor: httpx.AsyncClient) -> None:
    address, hidden = await form(visitor)
    await visitor.post(address, data={**hidden, "type": "reject", "by": "carl", "words": "too <b>dear</b>"})
    shown = (await visitor.get(address)).text
    assert "too &lt;b&gt;dear&lt;/b&gt;" in shown
    assert "<form" not in shown
    assert (desk.paid(), (await desk.told("--all"))[0]["status"]) == ([], "denied")


async def test_changed_arguments_are_asked_for_anew(desk: Desk, visitor: httpx.AsyncClient) -> None:
    address, hidden = await form(visitor)
    for wrong, why in (("{", "are no JSON"), ("[]", "no JSON object"), ('{"amount": []}', "not valid")):
        edited = {**hidden, "type": "edit", "by": "carl", "arguments": wrong}
        refused = await visitor.post(address, data=edited)
        assert (refused.status_code, why in refused.text) == (409, True), refused.text
    await visitor.post(address, data={**edited, "arguments": '{"amount": 400}'})
    while (row := await desk.told("show", address.rpartition("/")[2]))["status"] == "edited":
        pass
    assert (row["status"], row["arguments"]) == ("open", {"amount": 400})


async def test_a_form_of_another_site_or_without_its_token_decides_nothing(
    desk: Desk, visitor: httpx.AsyncClient, console: str
) -> None:
    address, hidden = await form(visitor)
    said = {**hidden, "type": "approve", "by": "carl"}
    async with httpx.AsyncClient(base_url=console) as stranger:
        assert (await stranger.post(address, data=said)).status_code == 403
    assert (await visitor.post(address, data={**said, "token": "x"})).status_code == 403
    elsewhere = {"origin": "https://evil.example"}
    assert (await visitor.post(address, data=said, headers=elsewhere)).status_code == 403
    assert (await visitor.post(address, json=said)).status_code == 415
    assert (await visitor.post(address, data={**said, "hash": "0" * 64})).status_code == 409
    assert (await desk.told())[0]["version"] == 1
