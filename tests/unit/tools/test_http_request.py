from typing import Any

import httpx
import pytest
from pydantic import ValidationError

from core.errors import ConfigurationError, ToolError
from tools.contract import Tool
from tools.http_request import http_request

KEY = "c" * 64
JSON = {"Content-Type": "application/json"}


@pytest.fixture
def asking(site: Any) -> Tool:
    return http_request([f"127.0.0.1:{site.port}"])


@pytest.fixture
def changing(site: Any) -> Tool:
    return http_request([f"127.0.0.1:{site.port}"], ["POST", "PUT"], headers={"Authorization": "Bearer s3"})


def test_a_tool_that_only_asks_is_a_read_and_one_that_changes_takes_a_key() -> None:
    asks, changes = http_request(["a.test"]), http_request(["a.test"], ["GET", "POST"], name="crm")
    assert (asks.name, asks.effect, dict(asks.injected)) == ("http_request", "read", {})
    assert (changes.name, changes.effect, dict(changes.injected)) == ("crm", "idempotent", {"key": "key"})
    assert changes.arguments_schema()["properties"]["method"]["enum"] == ["GET", "POST"]
    assert "Hosts: a.test." in changes.description


def test_a_method_that_was_not_named_is_refused() -> None:
    with pytest.raises(ValidationError, match="'GET' or 'HEAD'"):
        http_request(["a.test"]).arguments.model_validate({"url": "https://a.test/", "method": "DELETE"})


async def test_an_answer_is_handed_on(asking: Tool, site: Any) -> None:
    site.pages["/a"] = (200, JSON, '{"grüße": 1}'.encode())
    assert await asking.run(url=site.url("/a?b=1"), method="GET") == '200 Said\n{"grüße": 1}'
    assert site.heard[0].target == "/a?b=1"
    assert "idempotency-key" not in site.heard[0].headers


async def test_a_repeat_carries_the_same_key_and_body(changing: Tool, site: Any) -> None:
    site.pages["/orders"] = (201, JSON, b"{}")
    for _ in range(2):
        await changing.run(url=site.url("/orders"), key=KEY, method="POST", body='{"article": "chair"}')
    first, second = site.heard
    assert first.headers == second.headers
    assert first.headers["idempotency-key"] == KEY
    assert first.headers["content-type"] == "application/json"
    assert first.headers["authorization"] == "Bearer s3"
    assert first.body == second.body == b'{"article": "chair"}'


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1/", "http://127.0.0.1:{port}@evil.test/", "https://evil.test/"]
)
async def test_no_other_host_is_reached(asking: Tool, site: Any, url: str) -> None:
    with pytest.raises(ToolError, match="may not be reached"):
        await asking.run(url=url.format(port=site.port), method="GET")


@pytest.mark.parametrize(
    "url", ["http://a.test/", "https://a.test:8443/", "https://b.a.test/", "https://a.test.evil.test/"]
)
async def test_a_host_without_a_port_stands_for_https_there(url: str) -> None:
    with pytest.raises(ToolError, match=r"may not be reached; only these hosts: a\.test"):
        await http_request(["A.test"]).run(url=url, method="GET")


async def test_a_redirect_is_followed_to_an_allowed_host_only(asking: Tool, site: Any, serving: Any) -> None:
    other = await serving()
    site.pages["/in"] = (307, {"Location": "/there"}, b"")
    site.pages["/out"] = (302, {"Location": other.url("/there")}, b"")
    site.pages["/there"] = other.pages["/there"] = (200, {}, b"here")
    assert await asking.run(url=site.url("/in"), method="GET") == "200 Said\nhere"
    with pytest.raises(ToolError, match="may not be reached"):
        await asking.run(url=site.url("/out"), method="GET")
    assert other.heard == []


async def test_a_redirected_change_keeps_its_key_and_body(changing: Tool, site: Any) -> None:
    site.pages["/old"] = (308, {"Location": "/new"}, b"")
    site.pages["/new"] = (200, {}, b"done")
    await changing.run(url=site.url("/old"), key=KEY, method="PUT", body="words")
    assert [(heard.target, heard.method, heard.body) for heard in site.heard] == [
        ("/old", "PUT", b"words"),
        ("/new", "PUT", b"words"),
    ]
    assert site.heard[1].headers["idempotency-key"] == KEY


async def test_a_circle_of_redirects_ends(asking: Tool, site: Any) -> None:
    site.pages["/a"] = (302, {"Location": "/a"}, b"")
    with pytest.raises(ToolError, match="more than 5 times"):
        await asking.run(url=site.url("/a"), method="GET")


async def test_a_refusal_is_told_with_its_first_words(changing: Tool, site: Any) -> None:
    site.pages["/a"] = (422, JSON, b'{"error": "no such article"}' + b" " * 5000)
    with pytest.raises(ToolError, match=r"422.*\n.*no such article") as error:
        await changing.run(url=site.url("/a"), key=KEY, method="POST", body="{}")
    assert len(str(error.value)) < 600


@pytest.mark.parametrize("status", [429, 503])
async def test_a_busy_service_is_left_to_the_retries(asking: Tool, site: Any, status: int) -> None:
    site.pages["/a"] = (status, {"Retry-After": "3"}, b"later")
    with pytest.raises(httpx.HTTPStatusError) as error:
        await asking.run(url=site.url("/a"), method="GET")
    assert error.value.response.headers["retry-after"] == "3"


@pytest.mark.parametrize(
    ("headers", "body", "told"),
    [
        ({"Content-Type": "image/png"}, b"\x89PNG\0", "[5 bytes of image/png, which is not text]"),
        ({}, b"x" * 1_000_001, "[the body is left out:"),
        ({"Content-Encoding": "br"}, b"x", "[the body is left out:"),
    ],
)
async def test_a_change_that_was_made_is_no_error_for_the_body_of_its_answer(
    changing: Tool, site: Any, headers: dict[str, str], body: bytes, told: str
) -> None:
    site.pages["/a"] = (200, headers, body)
    assert told in await changing.run(url=site.url("/a"), key=KEY, method="POST", body=None)


async def test_a_service_that_hangs_up_is_a_transport_error(asking: Tool, site: Any) -> None:
    site.pages["/a"] = (200, {"Content-Length": "100"}, b"short")
    with pytest.raises(httpx.TransportError):
        await asking.run(url=site.url("/a"), method="GET")


def test_without_hosts_there_is_no_tool() -> None:
    with pytest.raises(ConfigurationError, match="BORING_HTTP_HOSTS"):
        http_request([])
