"""What an exception tells, however odd its client is."""

from typing import Any

import httpx
import pytest
import requests

from core.client_errors import MAX_TEXT_CHARS, HttpAnswer, error_text, http_answer, named_error


class Unreadable(Exception):  # noqa: N818 - the class is what is told
    def __str__(self) -> str:
        raise RuntimeError("no text")

    @property
    def response(self) -> Any:
        raise RuntimeError("no response yet")


class Odd(Exception):  # noqa: N818 - the class is what is told
    def __init__(self, status: Any, headers: Any) -> None:
        self.status = status
        self.headers = headers


def of_requests(status: int) -> requests.HTTPError:
    response = requests.Response()
    response.status_code = status
    response.headers["Retry-After"] = "7"
    return requests.HTTPError("refused", response=response)


def of_httpx(retry_after: str) -> httpx.HTTPStatusError:
    request = httpx.Request("GET", "http://127.0.0.1/")
    response = httpx.Response(429, headers={"Retry-After": retry_after}, request=request)
    return httpx.HTTPStatusError("refused", request=request, response=response)


@pytest.mark.parametrize("status", [404, 429, 500])
def test_an_error_of_requests_is_about_its_answer(status: int) -> None:
    assert http_answer(of_requests(status)) == HttpAnswer(status, 7.0)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("3.5", 3.5),
        ("-5", 0.0),
        ("nan", 0.0),
        ("1e400", 0.0),
        ("1e308", 365 * 86_400.0),
        ("soon", 0.0),
        ("Mon, 01 Jan 2024 00:00:00 +9999", 0.0),
        ("Mon, 01 Jan 2024 00:00:00 +99999999999999999999", 0.0),
        ("Mon, 01 Jan 0001 00:00:00 +2300", 0.0),
    ],
)
def test_a_time_to_wait_that_can_not_be_read_is_none(value: str, seconds: float) -> None:
    assert http_answer(of_httpx(value)) == HttpAnswer(429, seconds)


@pytest.mark.parametrize("headers", [None, [1], 7, {"Retry-After": object()}])
def test_odd_headers_ask_for_no_time(headers: Any) -> None:
    assert http_answer(Odd(503, headers)) == HttpAnswer(503, 0.0)


@pytest.mark.parametrize("error", [Unreadable(), Odd("503", {}), Odd(200, {}), ValueError("x")])
def test_what_is_about_no_answer_has_no_status(error: Exception) -> None:
    assert http_answer(error) is None


def test_an_exception_without_a_text_is_told_by_its_class() -> None:
    assert named_error(Unreadable()) == "Unreadable: its text can't be read"


def test_a_long_text_is_cut() -> None:
    text = error_text(ValueError("x" * 3_000_000))
    assert text.startswith("x" * MAX_TEXT_CHARS + "\n[cut: 2996000 of 3000000")
    assert len(text) < MAX_TEXT_CHARS + 100
