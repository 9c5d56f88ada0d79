"""LangSmith's own tracing, where an operator turns it on: without private data, not holding up the exit."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine
from concurrent.futures import Future, InvalidStateError
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from core.loading import load
from observability.redactor import redacted_value

if TYPE_CHECKING:
    import langsmith
    import requests

    from core.settings import Settings

Close = Callable[[], Coroutine[Any, Any, None]]
_CLOSING_S: Final = 2.0
"""How long the end of a process waits for what LangSmith's client has not sent yet."""
_TIMEOUT_MS: Final = (3_000, 10_000)
"""Milliseconds to connect, and to wait for an answer."""

_NOT_ASKED_ABOUT: Final = ("name", "tags", "events", "serialized")
"""Of a run, what its anonymiser is not asked about; `serialized` holds how a model or a prompt was made."""
_OWN_OR_ANONYMISED: Final = frozenset({"metadata", "runtime"})
"""Of a run's `extra`: the anonymiser is asked about the first, the client itself writes the second."""


@asynccontextmanager
async def native_langsmith(settings: Settings) -> AsyncGenerator[Close]:
    """Let LangSmith's client trace while the block runs, if the settings turn it on.

    Private data and secrets are taken out of what it sends, see `observability.redactor`.

    Yields:
        What ends it, for some seconds at most; the end of the block does so too.
    """
    if not settings.langsmith_tracing:
        yield _nothing
        return
    await load("langsmith", "requests")
    import langsmith  # noqa: PLC0415 - loaded above

    sending = _Sending()
    key = settings.langsmith_api_key
    client = _redacting()(
        settings.langsmith_endpoint,
        api_key=key.get_secret_value() if key else None,
        session=sending.session(),
        timeout_ms=_TIMEOUT_MS,
        anonymizer=redacted_value,
        tracing_mode="langsmith",
    )
    langsmith.configure(client=client, enabled=True)  # the project it takes from LANGSMITH_PROJECT itself
    is_open = True

    async def close() -> None:
        nonlocal is_open
        if is_open:
            is_open = False
            langsmith.configure(client=None, enabled=None)
            await _closed(client)
            sending.give_up()

    try:
        yield close
    finally:
        await close()


async def _nothing() -> None:
    pass


async def _closed(client: langsmith.Client) -> None:
    """Let the client send what it has left, in a thread that is left behind after some seconds."""
    loop, ended = asyncio.get_running_loop(), asyncio.Event()

    def close() -> None:
        client.close(_CLOSING_S)
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(ended.set)

    threading.Thread(target=close, name="close LangSmith", daemon=True).start()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_CLOSING_S):
            await ended.wait()


def _redacting() -> type[langsmith.Client]:
    """Return a client that takes private data also out of what its anonymiser is not asked about."""
    import langsmith  # noqa: PLC0415 - loaded by `native_langsmith`

    class Client(langsmith.Client):
        def create_run(self, name: str, *args: Any, **given: Any) -> None:
            super().create_run(redacted_value(name), *args, **_without_private_data(given))

        def update_run(self, run_id: Any, **given: Any) -> None:
            super().update_run(run_id, **_without_private_data(given))

    return Client


def _without_private_data(given: dict[str, Any]) -> dict[str, Any]:
    redacted = {name: redacted_value(given[name]) for name in _NOT_ASKED_ABOUT if given.get(name)}
    if extra := given.get("extra"):
        redacted["extra"] = {
            name: held if name in _OWN_OR_ANONYMISED else redacted_value(held) for name, held in extra.items()
        }
    return given | redacted


class _Sending:
    """Sends requests in threads that nobody has to wait for.

    The client's own threads are joined by the interpreter at its exit, and one that waits for a server that
    does not answer would hold it up.
    """

    def __init__(self) -> None:
        self._under_way: set[Future[requests.Response]] = set()
        self._lock = threading.Lock()
        self._given_up = False

    def session(self) -> requests.Session:
        """Return what the client sends by."""
        import requests  # noqa: PLC0415 - loaded by `native_langsmith`

        sending = self

        class Session(requests.Session):
            def request(self, *args: Any, **options: Any) -> requests.Response:
                answer: Future[requests.Response] = Future()
                with sending._lock:
                    if sending._given_up:
                        raise requests.ConnectionError("the process ends")
                    sending._under_way.add(answer)

                def send() -> None:
                    with contextlib.suppress(InvalidStateError):
                        try:
                            answer.set_result(super(Session, self).request(*args, **options))
                        except BaseException as error:  # noqa: BLE001 - it is raised where it is waited for
                            answer.set_exception(error)

                threading.Thread(target=send, name="send to LangSmith", daemon=True).start()
                try:
                    return answer.result()
                finally:
                    sending._under_way.discard(answer)

        return Session()

    def give_up(self) -> None:
        """Let everybody go who waits for an answer, and send nothing more."""
        import requests  # noqa: PLC0415 - loaded by `native_langsmith`

        with self._lock:
            self._given_up = True
            waiting = list(self._under_way)
        for answer in waiting:
            with contextlib.suppress(InvalidStateError):
                answer.set_exception(requests.ConnectionError("the process ends"))
