"""Pinecone's data plane on loopback: what of its documented protocol a vector store calls.

Source: https://docs.pinecone.io/reference/api/2025-04/data-plane.
"""

import json
from typing import Any

import pytest
from langchain_core.embeddings import Embeddings

from evals.scripted_http import HttpRequest, HttpResponse, LoopbackServer

_MOST_MATCHES = 10_000
_METADATA_BYTES = 40 * 1024


class PineconeServer(LoopbackServer):
    """One index with cosine similarity; `requests` keeps all that was sent, refused or not."""

    def __init__(self, key: str) -> None:
        """Make a server that answers those who show this key."""
        super().__init__(self._answer)
        self._key = key
        self.requests: list[HttpRequest] = []
        self.vectors: dict[str, dict[str, Any]] = {}

    @property
    def host(self) -> str:
        """The address of the index, as its control plane would tell it."""
        return f"http://127.0.0.1:{self.port}"

    def client(self, embeddings: Embeddings, *, key: str | None = None, namespace: str = "memories") -> Any:
        """Return a `PineconeVectorStore` on this server; the test is skipped where it is not installed."""
        why = "the extra `pinecone` is not installed"
        pinecone = pytest.importorskip("pinecone", reason=why)
        langchain_pinecone = pytest.importorskip("langchain_pinecone", reason=why)
        index = pinecone.Pinecone(api_key=key or self._key).Index(host=self.host)
        return langchain_pinecone.PineconeVectorStore(index=index, embedding=embeddings, namespace=namespace)

    def sent(self, path: str) -> list[dict[str, Any]]:
        """Return the bodies sent to a path, oldest first."""
        return [json.loads(request.body) for request in self.requests if request.path == path]

    async def _answer(self, request: HttpRequest, response: HttpResponse) -> None:
        self.requests.append(request)
        known = {
            ("POST", "/vectors/upsert"): self._upsert,
            ("POST", "/query"): self._query,
            ("POST", "/vectors/delete"): self._delete,
        }
        call = known.get((request.method, request.path))
        if request.headers.get("api-key") != self._key:
            await response.send(401, b"Invalid API Key")
        elif call is None:
            await response.send(404, b'{"code": 5, "message": "Not Found", "details": []}')
        else:
            try:
                status, answer = 200, call(json.loads(request.body))
            except ValueError as error:
                status, answer = 400, {"code": 3, "message": str(error), "details": []}
            await response.send(status, json.dumps(answer).encode())

    def _space(self, body: dict[str, Any]) -> dict[str, Any]:
        return self.vectors.setdefault(body.get("namespace", ""), {})

    def _upsert(self, body: dict[str, Any]) -> dict[str, Any]:
        for vector in body["vectors"]:
            metadata = vector.get("metadata", {})
            if not all(isinstance(value, (str, int, float)) for value in metadata.values()):
                raise ValueError("Metadata value must be a string, number, boolean or list of strings")
            if len(json.dumps(metadata).encode()) > _METADATA_BYTES:
                raise ValueError("Metadata size exceeds the limit of 40960 bytes per vector")
            self._space(body)[vector["id"]] = vector
        return {"upsertedCount": len(body["vectors"])}

    def _query(self, body: dict[str, Any]) -> dict[str, Any]:
        if not 1 <= body["topK"] <= _MOST_MATCHES:
            raise ValueError("top_k must be between 1 and 10000")
        matches: list[dict[str, Any]] = [
            {
                "id": one["id"],
                "score": sum(a * b for a, b in zip(one["values"], body["vector"], strict=True)),
                "values": [],
                "metadata": one["metadata"] if body.get("includeMetadata") else {},
            }
            for one in self._space(body).values()
            if _fits(one.get("metadata", {}), body.get("filter", {}))
        ]
        matches.sort(key=lambda match: -match["score"])
        return {
            "matches": matches[: body["topK"]],
            "namespace": body.get("namespace", ""),
            "usage": {"readUnits": 1},
        }

    def _delete(self, body: dict[str, Any]) -> dict[str, Any]:
        for one in body["ids"]:
            self._space(body).pop(one, None)
        return {}


def _fits(metadata: dict[str, Any], wanted: dict[str, Any]) -> bool:
    for key, condition in wanted.items():
        if key == "$and":
            if not all(_fits(metadata, part) for part in condition):
                return False
        elif list(condition) != ["$eq"]:
            raise ValueError(f"this server knows $and and $eq, not {condition}")
        elif metadata.get(key) != condition["$eq"]:
            return False
    return True
