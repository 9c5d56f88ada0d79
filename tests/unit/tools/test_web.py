import gzip
import socket
import ssl
import tracemalloc
import zlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from core.errors import ToolError
from tools.contract import Tool, ToolResult
from tools.web import MAX_CHARS, web_reader

HTML = {"Content-Type": "text/html; charset=utf-8"}
TEXT = {"Content-Type": "text/plain"}
WORDS = "The kettle boils at ninety degrees up there. " * 20
ARTICLE = (
    "<html><head><title>Kettles</title><script>var secret = 1</script></head><body><nav>Menu Login</nav>"
    f"<article><h1>On kettles</h1><p>Grüße. {WORDS}</p></article></body></html>"
).encode()


async def read(tool: Tool, url: str, start: int = 0) -> ToolResult:
    result = await tool.run(url=url, start=start)
    assert isinstance(result, ToolResult)
    return result


@pytest.fixture
def reader() -> Tool:
    """Allowed to read from loopback."""
    return web_reader(hosts=["127.0.0.1"], max_bytes=100_000)


async def test_a_page_becomes_its_readable_text_with_its_address_as_source(reader: Tool, site: Any) -> None:
    site.pages["/a"] = (200, HTML, ARTICLE)
    result = await read(reader, site.url("/a"))
    assert result.text.startswith(f"{site.url('/a')}\n")
    assert "Grüße. The kettle boils" in result.text
    assert "Menu" not in result.text
    assert "secret" not in result.text
    assert [source["source"] for source in result.sources] == [site.url("/a")]


async def test_a_page_without_a_main_part_is_read_whole(reader: Tool, site: Any) -> None:
    site.pages["/short"] = (
        200,
        HTML,
        b"<html><body><nav><ul><li>Opens at nine</li></ul></nav></body></html>",
    )
    assert "Opens at nine" in (await read(reader, site.url("/short"))).text


async def test_a_page_that_scripts_make_is_said_to_be_one(reader: Tool, site: Any) -> None:
    site.pages["/app"] = (200, HTML, b"<html><body><div id=app></div><script>go()</script></body></html>")
    with pytest.raises(ToolError, match="no readable text"):
        await read(reader, site.url("/app"))


@pytest.mark.parametrize(
    ("kind", "body", "text"),
    [
        ("text/plain", "Grüße".encode(), "Grüße"),
        ("text/plain; charset=latin-1", "Grüße".encode("latin-1"), "Grüße"),
        ("text/csv; charset=unheard-of", b"a,b", "a,b"),
        ("application/json", b'{"a": 1}', '{"a": 1}'),
        ("application/problem+json", b"{}", "{}"),
    ],
)
async def test_text_and_json_are_handed_on(
    reader: Tool, site: Any, kind: str, body: bytes, text: str
) -> None:
    site.pages["/t"] = (200, {"Content-Type": kind}, body)
    assert (await read(reader, site.url("/t"))).text == f"{site.url('/t')}\n\n{text}"


@pytest.mark.parametrize("headers", [{"Content-Type": "application/pdf"}, {"Content-Type": "image/png"}, {}])
async def test_other_content_is_refused(reader: Tool, site: Any, headers: dict[str, str]) -> None:
    site.pages["/x"] = (200, headers, b"%PDF")
    with pytest.raises(ToolError, match="only HTML, text and JSON"):
        await read(reader, site.url("/x"))


async def test_a_long_page_is_read_part_by_part(reader: Tool, site: Any) -> None:
    text = "".join(f"{n:05}" for n in range(6000))
    site.pages["/long"] = (200, TEXT, text.encode())
    seen = ""
    while len(seen) < len(text):
        result = await read(reader, site.url("/long"), len(seen))
        assert (f"go on with start={len(seen) + MAX_CHARS}]" in result.text) is (
            len(seen) + MAX_CHARS < len(text)
        )
        seen += result.sources[0]["text"]
    assert seen == text
    with pytest.raises(ToolError, match="has 30000 characters"):
        await read(reader, site.url("/long"), 30_000)


@pytest.mark.parametrize("packing", ["gzip", "deflate"])
async def test_a_packed_page_is_unpacked(reader: Tool, site: Any, packing: str) -> None:
    packed = (
        gzip.compress(b"one ") + gzip.compress(b"two") if packing == "gzip" else zlib.compress(b"one two")
    )
    site.pages["/z"] = (200, {**TEXT, "Content-Encoding": packing}, packed)
    assert (await read(reader, site.url("/z"))).text.endswith("\n\none two")


@pytest.mark.parametrize(
    ("headers", "body", "told"),
    [
        ({}, b"x" * 100_001, "more than 100,000 bytes"),
        ({"Content-Length": "100001"}, b"", "more than 100,000 bytes"),
        ({"Content-Encoding": "gzip"}, gzip.compress(b"0" * 5_000_000, mtime=0), "more than 100,000 bytes"),
        ({"Content-Encoding": "gzip"}, gzip.compress(b"0" * 50_000, mtime=0)[:30], "ends too early"),
        ({"Content-Encoding": "gzip"}, b"not gzip", "can't be unpacked"),
        ({"Content-Encoding": "br"}, b"x", "'br', which can't be read"),
    ],
)
async def test_a_body_that_is_too_large_or_broken_is_refused(
    reader: Tool, site: Any, headers: dict[str, str], body: bytes, told: str
) -> None:
    site.pages["/big"] = (200, {**TEXT, **headers}, body)
    with pytest.raises(ToolError, match=told):
        await read(reader, site.url("/big"))


async def test_a_body_that_unpacks_to_very_much_is_never_unpacked_whole(reader: Tool, site: Any) -> None:
    site.pages["/bomb"] = (200, {**TEXT, "Content-Encoding": "gzip"}, gzip.compress(b"0" * 50_000_000))
    tracemalloc.start()
    with pytest.raises(ToolError, match="more than 100,000 bytes"):
        await read(reader, site.url("/bomb"))
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 10_000_000


@pytest.mark.parametrize("status", [404, 403, 204, 304])
async def test_an_answer_without_a_page_is_told_to_the_model(reader: Tool, site: Any, status: int) -> None:
    site.pages["/s"] = (status, TEXT, b"")
    with pytest.raises(ToolError, match=f"answered {status}"):
        await read(reader, site.url("/s"))


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_busy_or_broken_server_is_left_to_the_retries(reader: Tool, site: Any, status: int) -> None:
    site.pages["/s"] = (status, {**TEXT, "Retry-After": "7"}, b"later")
    with pytest.raises(httpx.HTTPStatusError) as error:
        await read(reader, site.url("/s"))
    assert error.value.response.headers["retry-after"] == "7"


async def test_redirects_are_followed_so_far_and_no_further(reader: Tool, site: Any) -> None:
    for n in range(9):
        site.pages[f"/{n}"] = (302, {"Location": f"/{n + 1}"}, b"")
    site.pages["/9"] = (200, TEXT, b"there")
    assert (await read(reader, site.url("/4"))).text == f"{site.url('/9')}\n\nthere"
    with pytest.raises(ToolError, match="redirects more than 5 times"):
        await read(reader, site.url("/3"))


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://localhost/",
        "http://localhost./",
        "http://2130706433/",
        "http://0x7f.1/",
        "http://127.1/",
        "http://0/",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://169.254.169.254/latest/meta-data",
        "http://10.0.0.1/",
        "http://[fd00:ec2::254]/",
        "http://[64:ff9b::7f00:1]/",
    ],
)
async def test_no_form_of_a_private_address_is_reached(url: str) -> None:
    with pytest.raises(ToolError, match="not on the public internet"):
        await read(web_reader(hosts=[]), url)


async def test_a_redirect_into_the_private_network_is_not_followed(site: Any) -> None:
    for path, target in {
        "/metadata": "http://169.254.169.254/latest",
        "/port": f"http://127.0.0.2:{site.port}/secret",
        "/file": "file:///etc/passwd",
        "/login": f"http://user:word@127.0.0.1:{site.port}/secret",
    }.items():
        site.pages[path] = (302, {"Location": target}, b"")
    site.pages["/secret"] = (200, TEXT, b"secret")
    reader = web_reader(hosts=[f"127.0.0.1:{site.port}"])
    for path, told in {
        "/metadata": "public internet",
        "/port": "Port",
        "/file": "only http and https",
        "/login": "password",
    }.items():
        with pytest.raises(ToolError, match=told):
            await read(reader, site.url(path))
    assert [heard.target for heard in site.heard] == ["/metadata", "/port", "/file", "/login"]


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("http://user:word@example.test/", "password"),
        ("http://example.test:8080/", "Port 8080"),
        ("http://example.test:22/", "Port 22"),
        ("http:///x", "no address|no host"),
        ("http://[::1/", "no address"),
    ],
)
async def test_odd_addresses_are_refused(url: str, told: str) -> None:
    async def public(host: str, port: int) -> list[str]:
        del host, port
        return ["8.8.8.8"]

    with pytest.raises(ToolError, match=told):
        await read(web_reader(hosts=[], resolve=public), url)


async def test_a_name_with_one_private_address_among_public_ones_is_refused() -> None:
    async def mixed(host: str, port: int) -> list[str]:
        del host, port
        return ["8.8.8.8", "10.0.0.1"]

    with pytest.raises(ToolError, match="public internet"):
        await read(web_reader(hosts=[], resolve=mixed), "http://example.test/")


async def test_the_connection_is_made_to_the_address_that_was_checked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A name that turns private after it was checked: the second look would lead to loopback."""
    looks: list[str] = []
    connected: list[Any] = []

    def connect(self: socket.socket, address: Any) -> None:
        connected.append(address)
        self.close()
        raise ConnectionRefusedError

    monkeypatch.setattr(socket.socket, "connect", connect)

    async def rebinding(host: str, port: int) -> Sequence[str]:
        del port
        looks.append(host)
        return ["203.0.114.7"] if len(looks) == 1 else ["127.0.0.1"]

    with pytest.raises(httpx.ConnectError):
        await read(web_reader(hosts=[], resolve=rebinding), "http://rebinding.test/")
    assert connected == [("203.0.114.7", 80)]
    assert looks == ["rebinding.test"]


async def test_an_allowed_name_is_reached_by_name_at_its_address_over_tls(
    serving: Any, tmp_path: Path
) -> None:
    authority, server = certified("site.test", tmp_path)
    site = await serving(server)
    site.pages["/"] = (200, TEXT, b"hello")
    names: list[str | None] = []
    server.sni_callback = lambda _socket, name, _context: names.append(name)

    async def here(host: str, port: int) -> list[str]:
        del host, port
        return ["127.0.0.1"]

    reader = web_reader(hosts=["site.test", "other.test"], resolve=here, tls=authority)
    assert (await read(reader, site.url("/", "Site.test"))).text.endswith("hello")
    assert names == ["site.test"]
    assert site.heard[0].headers["host"] == f"site.test:{site.port}"
    with pytest.raises(httpx.ConnectError, match=r"other\.test"):
        await read(reader, site.url("/", "other.test"))


async def test_a_second_address_is_tried_where_the_first_is_silent(site: Any) -> None:
    async def two(host: str, port: int) -> list[str]:
        del host, port
        return ["::1", "127.0.0.1"]

    site.pages["/"] = (200, TEXT, b"hello")
    assert (await read(web_reader(hosts=["site.test"], resolve=two), site.url("/", "site.test"))).text


async def test_an_unknown_name_is_told_to_the_model() -> None:
    with pytest.raises(ToolError, match=r"no host 'nowhere\.invalid'"):
        await read(web_reader(hosts=["nowhere.invalid"]), "http://nowhere.invalid/")


def certified(name: str, folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return a client's context that trusts a new certificate for `name`, and the server's context."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = folder / "both.pem"
    pem.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(pem)
    return ssl.create_default_context(cafile=str(pem)), server
