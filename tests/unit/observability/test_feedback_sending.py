"""Ratings travel to places after the run that they are about, under the ids that the place knows it by."""

import base64
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import Any
from uuid import UUID, uuid4

import pytest
from langsmith.integrations.otel import langsmith_run_id_from_otel_span_id
from langsmith.schemas import FeedbackCreate
from psycopg import AsyncConnection
from pydantic import SecretStr

from core.process import opened_process
from core.settings import Settings
from observability import names, spans
from observability.feedback import Feedback, NewFeedback
from observability.feedback_forms import FORMS, Root
from observability.feedback_sending import TRIES
from observability.rating import give_feedback
from observability.tracing import Tracing, current_tracing
from tests.canaries import SENTENCES, left_in
from tests.runs import begins
from tests.trace_places import Place, Request, opened_place

RUN = "4f9619ff-8b86-4d01-b42d-00cf4fc964ff"
PROJECT = "6f9619ff-8b86-4d01-b42d-00cf4fc964ff"
SAID: dict[str, Any] = {
    "score": 0.0,
    "comment": "Wrong. Write to ada@example.com.",
    "correction": "It is 42.",
}


@asynccontextmanager
async def a_run(postgres_url: str, folder: Path, **told: Any) -> AsyncGenerator[Tracing]:
    """A run of two invocations that has ended, with its spans in the database."""
    settings = Settings(database_url=SecretStr(postgres_url), data_dir=folder, cache_dir=folder, **told)
    async with opened_process(settings) as process:
        await begins(await process.database(), RUN, thread_id="t1", user="ada", tenant="acme")
        tracing = await current_tracing()
        for _ in range(2):
            whose = {names.USER: "ada", names.TENANT: "acme", names.CONVERSATION: "t1"}
            with spans.invocation(tracing.tracer, "clerk", whose, decide=tracing.decisions.put) as one:
                one.belongs_to(RUN, None)
                with spans.step_span(one, "plan", {}):
                    pass
        await tracing.flush()
        yield tracing


def told(request: Request) -> Any:
    return json.loads(request.body)


def last_root(place: Place) -> str:
    """Return the id of the span of the run's last invocation, as the place got it."""
    [sent] = [one for one in place.requests if one.path.endswith("/v1/traces")]
    return base64.b64decode(sent.spans["invoke_agent clerk"]["spanId"]).hex()


async def rated(place: Place, postgres_url: str, folder: Path, **told: Any) -> tuple[Feedback, Request]:
    async with a_run(postgres_url, folder, traces_sample=0.0, **told) as tracing:
        assert not place.requests
        one = await give_feedback("acme", NewFeedback(RUN, "ada", **SAID))
        await tracing.feedback[0].flush()
    assert [request.path.endswith("/v1/traces") for request in place.requests][:2] == [True, False]
    return one, place.requests[-1]


async def test_phoenix_gets_an_annotation_of_the_span_that_answered_after_the_run_that_was_left_out(
    postgres_url: str, tmp_path: Path
) -> None:
    async with opened_place() as place:
        one, request = await rated(
            place, postgres_url, tmp_path, traces=("phoenix",), phoenix_endpoint=place.url
        )
        assert request.path == "/v1/span_annotations"
        assert told(request)["data"] == [
            {
                "span_id": last_root(place),
                "name": "user_score",
                "annotator_kind": "HUMAN",
                "identifier": str(one.id),
                "result": {
                    "score": 0.0,
                    "label": "thumbs_down",
                    "explanation": "Wrong. Write to [EMAIL].\nCorrection: It is 42.",
                },
                "metadata": {"run_id": RUN, "source": "user"},
            }
        ]


async def test_langsmith_gets_feedback_on_the_run_that_it_makes_of_the_span(
    postgres_url: str, tmp_path: Path
) -> None:
    async with opened_place() as place:
        key = SecretStr("key")
        settings: Any = {
            "traces": ("langsmith",),
            "langsmith_endpoint": place.url,
            "langsmith_api_key": key,
        }
        place.answers["/sessions?name=default&limit=1"] = [{"id": PROJECT}]
        one, request = await rated(place, postgres_url, tmp_path, **settings)
        assert (request.path, request.headers["x-api-key"]) == ("/feedback", "key")
        body = told(request)
        assert body["session_id"] == PROJECT
        FeedbackCreate.model_validate({**body, "trace_id": None})
        assert UUID(body["run_id"]) == langsmith_run_id_from_otel_span_id(bytes.fromhex(last_root(place)))
        said = {name: body[name] for name in ("id", "key", "score", "comment", "correction")}
        assert said == {
            "id": str(one.id),
            "key": "user_score",
            "score": 0.0,
            "comment": "Wrong. Write to [EMAIL].",
            "correction": {"answer": "It is 42."},
        }
        async with a_run(postgres_url, tmp_path, **settings) as tracing:
            place.requests.clear()
            await give_feedback("acme", NewFeedback(RUN, "ada", score=1))
            await tracing.feedback[0].flush()
        [changed] = [it for it in place.requests if "feedback" in it.path]
        assert changed.path == f"/feedback/{one.id}"
        assert told(changed) == {"score": 1.0, "comment": None, "correction": None}


async def test_langfuse_gets_a_score_of_the_trace(postgres_url: str, tmp_path: Path) -> None:
    async with opened_place() as place:
        _, request = await rated(
            place,
            postgres_url,
            tmp_path,
            traces=("langfuse",),
            langfuse_endpoint=place.url,
            langfuse_public_key="public",
            langfuse_secret_key=SecretStr("secret"),
        )
        assert request.path == "/api/public/scores"
        assert request.headers["authorization"].startswith("Basic ")
        body = told(request)
        assert (body["observationId"], body["name"]) == (last_root(place), "user_score")
        assert (body["value"], body["dataType"]) == (0.0, "NUMERIC")
        assert body["comment"] == "Wrong. Write to [EMAIL].\nCorrection: It is 42."


async def test_a_run_that_langsmiths_own_client_has_traced_is_rated_under_its_own_id(
    postgres_url: str, tmp_path: Path
) -> None:
    async with opened_place() as place:
        settings: Any = {
            "langsmith_tracing": True,
            "langsmith_endpoint": place.url,
            "langsmith_api_key": SecretStr("key"),
        }
        async with a_run(postgres_url, tmp_path, **settings) as tracing:
            await give_feedback("acme", NewFeedback(RUN, "ada", score=1))
            await tracing.feedback[0].flush()
        [request] = [one for one in place.requests if one.path == "/feedback"]
        assert told(request)["run_id"] == RUN


@pytest.mark.parametrize("place", FORMS)
def test_no_private_data_in_a_key_a_comment_or_a_correction_leaves(place: str) -> None:
    now, said = datetime.now(UTC), SENTENCES
    for changed in (now, now + timedelta(hours=1)):
        one = Feedback(
            uuid4(),
            "acme",
            "u1",
            RUN,
            "t1",
            "clerk",
            said,
            None,
            said,
            said,
            "user",
            None,
            "u1",
            now,
            changed,
        )
        call = FORMS[place]("http://place/v1/traces", one, Root("1" * 32, "2" * 16, now))
        sent = json.dumps([call.body, call.otherwise and call.otherwise.body], ensure_ascii=False)
        assert not left_in(sent)


async def test_a_place_that_does_not_know_the_run_yet_is_told_again(
    postgres_url: str, tmp_path: Path
) -> None:
    async with opened_place() as place:
        settings: Any = {"traces": ("phoenix",), "phoenix_endpoint": place.url}
        async with a_run(postgres_url, tmp_path, **settings) as tracing:
            place.statuses = [404]
            await give_feedback("acme", NewFeedback(RUN, "ada", score=1))
            [outlet] = tracing.feedback
            await outlet.flush()
            assert (outlet.delivered, outlet.dropped) == (1, 0)


async def test_ratings_of_runs_that_a_place_never_knows_hold_up_no_other(
    postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("observability.feedback_sending._PAUSES_S", ())
    async with opened_place() as place:
        settings: Any = {"traces": ("phoenix",), "phoenix_endpoint": place.url}
        async with a_run(postgres_url, tmp_path, **settings) as tracing:
            place.statuses = [404, 404, 200, *[404] * 8]
            for who in ("ada", "bob", "eve"):
                await give_feedback("acme", NewFeedback(RUN, who, score=1))
            [outlet] = tracing.feedback
            for _ in range(TRIES):
                await outlet.flush()
            assert (outlet.waiting, outlet.delivered, outlet.dropped) == (0, 1, 2)
        sent = [one for one in place.requests if one.path == "/v1/span_annotations"]
        assert len(sent) == 2 * TRIES + 1


async def test_a_place_that_is_down_holds_up_no_rating_and_no_exit_and_the_loss_is_counted(
    postgres_url: str, tmp_path: Path
) -> None:
    async with opened_place() as place:
        place.hangs = "/v1/span"
        settings: Any = {"traces": ("phoenix",), "phoenix_endpoint": place.url}
        async with a_run(postgres_url, tmp_path, **settings) as tracing:
            await give_feedback("acme", NewFeedback(RUN, "ada", score=1))
            [outlet] = tracing.feedback
            await place.arrived.wait()
            began = monotonic()
        assert monotonic() - began < 3.5
        assert outlet.dropped == 1


async def test_a_second_rating_sends_the_run_no_second_time(postgres_url: str, tmp_path: Path) -> None:
    async with opened_place() as place:
        settings: Any = {"traces": ("phoenix",), "phoenix_endpoint": place.url, "traces_sample": 0.0}
        async with a_run(postgres_url, tmp_path, **settings) as tracing:
            await ended(postgres_url)
            for score in (0, 1):
                await give_feedback("acme", NewFeedback(RUN, "ada", score=score))
                await tracing.feedback[0].flush()
    paths = [one.path for one in place.requests]
    assert paths == ["/v1/traces", "/v1/span_annotations", "/v1/span_annotations"]


async def ended(postgres_url: str) -> None:
    async with await AsyncConnection.connect(postgres_url) as connection:
        await connection.execute("update boring.run set status = 'finished', finished_at = now()")
