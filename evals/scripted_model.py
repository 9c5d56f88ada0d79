"""A language model that says what a script says, behind the real OpenAI HTTP interface.

It ships for users' own tests: whatever speaks to an OpenAI-compatible endpoint can speak to it.

    async with ScriptedModel(["Hello."]) as model:
        llm = ChatOpenAI(base_url=model.base_url, api_key=model.api_key, model="scripted")

From a shell, `python -m evals.scripted_model SCRIPT.json` serves a script and prints its address.
"""

import argparse
import asyncio
import json
import signal
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pydantic import TypeAdapter

from evals.hashed_embeddings import as_base64, embed_hashed
from evals.scripted_http import HttpRequest, HttpResponse, LoopbackServer
from evals.scripted_reply import ChatRequest, Reply, chunks, completion
from evals.scripted_reply import ToolCall as ToolCall
from evals.scripted_rules import refusal

Speaker = Callable[[ChatRequest], Reply | str]
"""Answers a request by what it holds."""
Line = Reply | str | Speaker
"""One entry of a script; a string is a `Reply` with that text."""


class ScriptedModel:
    """The scripted model, served on loopback for the length of an `async with`.

    Attributes:
        requests: the body of every chat request so far, in order of arrival.
        embedding_requests: the same for embeddings.
    """

    def __init__(  # noqa: PLR0913 - each is one thing a test may want to set
        self,
        script: Iterable[Line] | Speaker = (),
        *,
        then: Speaker | None = None,
        api_key: str | None = None,
        models: Iterable[str] | None = None,
        dimensions: int = 256,
        port: int = 0,
        keep_alive: bool = False,
    ) -> None:
        """Set the script.

        Args:
            script: the answers in order, or a callable that answers every request.
            then: answers what comes after the script's last entry; unset, that is an error (HTTP 500).
            api_key: set, a request with another key is refused with 401.
            models: set, a request for another model is refused with 404.
            dimensions: length of embedding vectors, where a request does not say.
            port: 0 takes a free one.
            keep_alive: let a client send many requests over one connection, as real endpoints do. Faster,
                but then the client has to be closed before the event loop ends.
        """
        self._script: list[Line] = [] if callable(script) else list(script)
        self._then = script if callable(script) else then
        self._key = api_key
        self._models = None if models is None else tuple(models)
        self._dimensions = dimensions
        self._server = LoopbackServer(self._answer, port=port, keep_alive=keep_alive)
        self._said = 0
        self.requests: list[ChatRequest] = []
        self.embedding_requests: list[dict[str, Any]] = []

    @property
    def base_url(self) -> str:
        """The address to give to clients, with `/v1`."""
        return f"http://127.0.0.1:{self._server.port}/v1"

    @property
    def api_key(self) -> str:
        """The key to give to clients."""
        return self._key or "scripted"

    @property
    def unsaid(self) -> int:
        """How many entries of the script are left."""
        return len(self._script) - self._said

    async def __aenter__(self) -> Self:
        await self._server.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._server.__aexit__(kind, error, trace)

    async def _answer(self, request: HttpRequest, response: HttpResponse) -> None:
        if self._key is not None and request.headers.get("authorization") != f"Bearer {self._key}":
            await _refuse(response, 401, "Incorrect API key provided.")
        elif (request.method, request.path) == ("GET", "/v1/models"):
            names = self._models or ("scripted",)
            data = [{"id": n, "object": "model", "created": 0, "owned_by": "scripted"} for n in names]
            await response.send(200, json.dumps({"object": "list", "data": data}).encode())
        elif request.method == "POST" and request.path in {"/v1/chat/completions", "/v1/embeddings"}:
            await self._answer_post(request, response)
        else:
            await _refuse(response, 404, f"Unknown request URL: {request.method} {request.path}.")

    async def _answer_post(self, request: HttpRequest, response: HttpResponse) -> None:
        try:
            body = json.loads(request.body)
        except ValueError:
            body = None
        if not isinstance(body, dict):
            await _refuse(response, 400, "We could not parse the JSON body of your request.")
            return
        asked: ChatRequest = body
        if self._models is not None and asked.get("model") not in self._models:
            await _refuse(response, 404, f"The model {asked.get('model')!r} does not exist.")
        elif request.path == "/v1/embeddings":
            await self._answer_embeddings(asked, response)
        else:
            await self._answer_chat(asked, response)

    async def _answer_chat(self, asked: ChatRequest, response: HttpResponse) -> None:
        self.requests.append(asked)
        if (reason := refusal(asked)) is not None:
            await _refuse(response, 400, reason)
            return
        reply = self._next(asked)
        await asyncio.sleep(reply.delay_s)
        if reply.status >= 400:  # noqa: PLR2004 - errors start here in HTTP
            await _refuse(
                response, reply.status, reply.text or "Scripted error.", retry_after_s=reply.retry_after_s
            )
        elif asked.get("stream"):
            await _stream(reply, asked, response)
        else:
            body = json.dumps(completion(reply, asked)).encode()
            half = len(body) // 2
            if reply.malformed:
                await response.send(200, body[:half])
            else:
                await response.send(200, body, cut_to=None if reply.drop_after is None else half)

    def _next(self, asked: ChatRequest) -> Reply:
        if self._said < len(self._script):
            line = self._script[self._said]
            self._said += 1
        elif self._then is not None:
            line = self._then
        else:
            return Reply(status=500, text=_exhausted(len(self._script), len(self.requests), asked))
        said = line(asked) if callable(line) else line
        return Reply(text=said) if isinstance(said, str) else said

    async def _answer_embeddings(self, asked: dict[str, Any], response: HttpResponse) -> None:
        self.embedding_requests.append(asked)
        given: Any = asked.get("input")
        if isinstance(given, str) or (isinstance(given, list) and given and isinstance(given[0], int)):
            given = [given]
        if not isinstance(given, list) or not given or not all(given):
            await _refuse(
                response, 400, "'$.input' is invalid: expected a string or a list of them, none empty."
            )
            return
        texts = [text if isinstance(text, str) else " ".join(map(str, text)) for text in given]
        wanted: int = asked.get("dimensions") or self._dimensions
        vectors = [embed_hashed(text, wanted) for text in texts]
        encoded = [as_base64(v) for v in vectors] if asked.get("encoding_format") == "base64" else vectors
        data = [{"object": "embedding", "index": i, "embedding": v} for i, v in enumerate(encoded)]
        tokens = sum(len(text.split()) for text in texts)
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        answer = {"object": "list", "model": asked.get("model"), "data": data, "usage": usage}
        await response.send(200, json.dumps(answer).encode())


async def _stream(reply: Reply, asked: ChatRequest, response: HttpResponse) -> None:
    await response.open_stream()
    for count, chunk in enumerate(chunks(reply, asked)):
        if count == reply.drop_after:
            response.drop()
            return
        if count > 1:
            await asyncio.sleep(reply.token_delay_s)
        text = json.dumps(chunk)
        await response.send_event(text[: len(text) // 2] if reply.malformed else text)
    await response.send_event("[DONE]")
    await response.close_stream()


async def _refuse(
    response: HttpResponse, status: int, message: str, *, retry_after_s: float | None = None
) -> None:
    kinds = {401: "authentication_error", 429: "rate_limit_error"}
    kind = kinds.get(status, "server_error" if status >= 500 else "invalid_request_error")  # noqa: PLR2004
    headers = {} if retry_after_s is None else {"retry-after": f"{retry_after_s:g}"}
    error = {"message": message, "type": kind, "param": None, "code": None}
    await response.send(status, json.dumps({"error": error}).encode(), headers=headers)


def _exhausted(length: int, number: int, asked: ChatRequest) -> str:
    last = json.dumps(asked["messages"][-1])
    return (
        f"The script has {length} entries and all were said; request {number} has no answer. "
        f"Its last message: {last[:500]}. Add an entry to the script, or a `then` that answers the rest."
    )


def read_script(path: Path) -> list[Reply | str]:
    """Read a script: a JSON list of strings and of objects with the fields of `Reply`.

    Raises:
        ValueError: the file is not such a list; the message names the entry.
    """
    return TypeAdapter(list[Reply | str]).validate_json(path.read_bytes())


async def _serve(script: list[Reply | str], port: int, record: Path | None) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with ScriptedModel(script, port=port) as model:
        sys.stdout.write(f"{model.base_url}\n")
        sys.stdout.flush()
        await stop.wait()
    if record is not None:
        lines = "".join(json.dumps(body) + "\n" for body in model.requests)
        await asyncio.to_thread(record.write_text, lines)


def main() -> None:
    """Serve a script until interrupted."""
    parser = argparse.ArgumentParser(prog="python -m evals.scripted_model", description=main.__doc__)
    parser.add_argument(
        "script", type=Path, help="a JSON list of strings and of objects with the fields of Reply"
    )
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one (default)")
    parser.add_argument("--record", type=Path, help="write the request bodies here at the end, one a line")
    given = parser.parse_args()
    asyncio.run(_serve(read_script(given.script), given.port, given.record))


if __name__ == "__main__":
    main()
