"""`/feedback` of the server takes what LangSmith's clients send; who says it is told by who is signed in."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from langsmith.schemas import Feedback
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.authentication import AuthCredentials, SimpleUser, UnauthenticatedUser
from starlette.types import Receive, Scope, Send

from app.feedback_routes import FEEDBACK_ROUTES
from core.process import Process, opened_process
from core.settings import Settings
from memory.rules_listing import Wanted, rules
from observability.feedback import MAX_KEYS, Rating, WantedFeedback, feedback_found, ratings_of
from tests.runs import begins

RUN, OTHER = "4f9619ff-8b86-4d01-b42d-00cf4fc964ff", "5f9619ff-8b86-4d01-b42d-00cf4fc964ff"


class Member(SimpleUser):
    def __init__(self, username: str, tenant: str) -> None:
        super().__init__(username)
        self.tenant = tenant


@pytest.fixture
async def process(postgres_url: str, tmp_path: Path) -> AsyncIterator[Process]:
    async with opened_process(Settings(database_url=SecretStr(postgres_url), data_dir=tmp_path)) as process:
        for run_id, tenant in ((RUN, "acme"), (OTHER, "umbrella")):
            await begins(await process.database(), run_id, user="ada", tenant=tenant)
        yield process


def client(user: Any = None, *permissions: str) -> httpx.AsyncClient:
    """A client of the routes, signed in as somebody or of a server without authentication."""
    app = Starlette(routes=FEEDBACK_ROUTES)

    async def signed_in(scope: Scope, receive: Receive, send: Send) -> None:
        who = {"user": user, "auth": AuthCredentials(permissions)} if user else {}
        await app({**scope, **who}, receive, send)

    return httpx.AsyncClient(transport=httpx.ASGITransport(signed_in), base_url="http://server")


async def test_who_is_signed_in_says_it_of_their_tenant_whatever_the_request_says(process: Process) -> None:
    async with client(Member("ann", "acme")) as browser:
        body = {
            "run_id": RUN,
            "score": 0,
            "comment": "No.",
            "by": "bob",
            "given_by": "bob",
            "tenant": "umbrella",
        }
        kept = await browser.post("/feedback", json=body)
        assert kept.status_code == 200, kept.text
        assert Feedback(**kept.json()).comment == "No."
        assert (await browser.post("/feedback", json={**body, "run_id": OTHER})).status_code == 404
        assert len((await browser.get("/feedback", params={"run": [RUN, OTHER]})).json()) == 1
    async with client(Member("eve", "acme")) as browser:
        assert (await browser.get("/feedback", params={"run": RUN})).json() == []
    async with client(SimpleUser("eve")) as browser:
        assert (await browser.post("/feedback", json=body)).status_code == 404
    database = await process.database()
    [one] = await feedback_found(database, "acme", WantedFeedback())
    assert (one.given_by, one.source, one.user_id) == ("ann", "peer", "ada")
    assert await feedback_found(database, "umbrella", WantedFeedback()) == []


async def test_a_peer_of_the_user_is_told_as_such_and_proposes_no_rule(process: Process) -> None:
    for name, permissions, source in (
        ("ada", (), "user"),
        ("ann", ("console:approver",), "operator"),
        ("olga", ("console:operator",), "operator"),
        ("bob", ("console:viewer",), "peer"),
        ("carl", (), "peer"),
    ):
        async with client(Member(name, "acme"), *permissions) as browser:
            said = {"run_id": RUN, "score": 0, "comment": f"Say it as {name} would."}
            kept = (await browser.post("/feedback", json=said)).json()
        assert kept["feedback_source"] == {"type": source, "metadata": {"by": name}}
    proposed = await rules(await process.database(), "acme", Wanted())
    assert {one.proposed_by for one in proposed} == {"ada", "ann", "olga"}


async def test_a_peer_has_one_voice_and_a_bounded_number_of_keys(process: Process) -> None:
    async with client(Member("ada", "acme")) as browser:
        await browser.post("/feedback", json={"run_id": RUN, "score": 1})
    async with client(Member("eve", "acme")) as browser:
        replies = [
            await browser.post("/feedback", json={"run_id": RUN, "key": f"key {number}", "score": 0})
            for number in range(MAX_KEYS + 1)
        ]
    assert [reply.status_code for reply in replies] == [200] * MAX_KEYS + [422]
    assert f"under {MAX_KEYS} keys" in replies[-1].json()["detail"]
    assert await ratings_of(await process.database(), "acme", [RUN]) == {RUN: Rating(0.5, 2)}


@pytest.mark.usefixtures("process")
async def test_without_authentication_whoever_asked_is_taken_to_speak() -> None:
    async with client() as browser:
        assert (await browser.post("/feedback", json={"run_id": RUN, "score": True})).status_code == 200
        assert (await browser.post("/feedback", json={"run_id": "none", "score": 1})).status_code == 404
        [one] = (await browser.get("/feedback", params={"run": RUN, "key": "user_score"})).json()
        assert (await browser.get("/feedback", params={"run": RUN, "offset": 1})).json() == []
        assert (await browser.get("/feedback", params={"run": RUN, "key": "tone"})).json() == []
    assert one["feedback_source"] == {"type": "user", "metadata": {"by": "ada"}}
    assert one["score"] == 1.0


async def test_who_is_not_signed_in_where_a_server_asks_gives_and_reads_nothing(process: Process) -> None:
    async with client(UnauthenticatedUser()) as browser:
        assert (await browser.post("/feedback", json={"run_id": RUN, "score": 0})).status_code == 403
        assert (await browser.get("/feedback", params={"run": RUN})).status_code == 403
    assert await feedback_found(await process.database(), "acme", WantedFeedback()) == []


@pytest.mark.usefixtures("process")
@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ({"value": 0.5}, (0.5, None, None)),
        ({"value": "good", "comment": "Yes."}, (None, "good: Yes.", None)),
        ({"value": "good"}, (None, "good", None)),
        ({"value": {"tone": "rude"}}, (None, '{"tone": "rude"}', None)),
        ({"correction": {"answer": "It is 42."}}, (None, None, "It is 42.")),
        ({"correction": {"a": 1}}, (None, None, '{"a": 1}')),
        (
            {"trace_id": RUN, "run_id": None, "score": 1, "id": OTHER},
            (1.0, None, None),
        ),
    ],
)
async def test_what_other_clients_send_is_understood(said: dict[str, Any], kept: tuple[Any, ...]) -> None:
    async with client() as browser:
        reply = await browser.post("/feedback", json={"run_id": RUN, **said})
    assert reply.status_code == 200, reply.text
    assert tuple(reply.json()[name] for name in ("score", "comment", "correction")) == kept


@pytest.mark.usefixtures("process")
@pytest.mark.parametrize(
    ("sent", "why"),
    [
        ({"json": {"run_id": RUN, "score": 2}}, "The score is 2.0"),
        ({"json": {"run_id": RUN, "score": "up"}}, "score"),
        ({"json": [1]}, "the body"),
        ({"json": {"run_id": RUN}}, "Nothing is said"),
        ({"json": {"run_id": RUN, "correction": {}}}, "Nothing is said"),
        ({"content": b"{", "headers": {"content-type": "application/json"}}, "no JSON"),
        ({"content": b"[" * 50_000, "headers": {"content-type": "application/json"}}, "nested too deeply"),
        ({"content": b"{}", "headers": {"content-type": "text/plain"}}, "by its content-type"),
        ({"content": b" " * 100_001, "headers": {"content-type": "application/json"}}, "Send less"),
    ],
)
async def test_what_makes_no_sense_is_refused_with_what_to_send(sent: dict[str, Any], why: str) -> None:
    async with client() as browser:
        reply = await browser.post("/feedback", **sent)
        assert (reply.status_code, why in reply.json()["detail"]) == (422, True), reply.text
        assert (await browser.get("/feedback")).status_code == 422
        assert (await browser.get("/feedback?run=1&limit=x")).status_code == 422
