"""The body of an HTTP response, never more of it than was asked for, unpacked or not."""

import zlib

import httpx

from core.errors import ToolError

ACCEPTED = "gzip, deflate"
"""What goes into `Accept-Encoding`: the encodings whose output can be bounded while it is unpacked."""
_GZIP_OR_ZLIB = 47
_PACKED = {"gzip", "x-gzip", "deflate"}


async def bounded_body(response: httpx.Response, max_bytes: int) -> bytes:
    """Return the body of a streamed response, unpacked.

    Raises:
        ToolError: it is larger than `max_bytes` before or after unpacking, or can't be unpacked.
    """
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in {*_PACKED, "identity", ""}:
        raise ToolError(f"{response.url} answered in the encoding {encoding!r}, which can't be read.")
    too_large = ToolError(f"{response.url} has more than {max_bytes:,} bytes, which are too many to read.")
    if (length := response.headers.get("content-length", "")).isdigit() and int(length) > max_bytes:
        raise too_large
    unpack = _Unpacking(max_bytes) if encoding in _PACKED else None
    body = bytearray()
    received = 0
    async for chunk in response.aiter_raw():
        received += len(chunk)
        body += unpack.feed(chunk, response.url) if unpack else chunk
        if len(body) > max_bytes or received > max_bytes:
            raise too_large
    if unpack and received and not unpack.done:
        raise ToolError(f"{response.url} sent a body that ends too early.")
    return bytes(body)


class _Unpacking:
    """Unpacks gzip and deflate, and stops one byte past the limit."""

    def __init__(self, max_bytes: int) -> None:
        self._room = max_bytes + 1
        self._stream = zlib.decompressobj(_GZIP_OR_ZLIB)

    @property
    def done(self) -> bool:
        return self._stream.eof

    def feed(self, chunk: bytes, url: httpx.URL) -> bytes:
        out = bytearray()
        while chunk and len(out) < self._room:
            if self._stream.eof:  # gzip may be several in a row
                self._stream = zlib.decompressobj(_GZIP_OR_ZLIB)
            try:
                out += self._stream.decompress(chunk, self._room - len(out))
            except zlib.error as error:
                raise ToolError(f"{url} sent a body that can't be unpacked.") from error
            chunk = self._stream.unused_data
        self._room -= len(out)
        return bytes(out)
