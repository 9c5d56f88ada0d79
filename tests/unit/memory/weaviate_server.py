"""Weaviate on loopback: what of its REST and gRPC interfaces a vector store calls.

The messages are those of the client's own protocol files, `weaviate.proto.v1`. Collections get the defaults
that Weaviate gives them, unknown properties are added as texts of words, filters go by tokens, and what
Weaviate refuses is refused in its words.
Source: https://docs.weaviate.io/weaviate/api, https://docs.weaviate.io/weaviate/config-refs/collections, and
github.com/weaviate/weaviate: adapters/repos/db/inverted/searcher.go (filters and stopwords),
usecases/traverser/hybrid/hybrid_fusion.go (scores), usecases/traverser/explorer_hybrid.go (limits).
"""

import asyncio
import json
import re
import struct
import uuid
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from langchain_core.embeddings import Embeddings

from evals.scripted_http import HttpRequest, HttpResponse, LoopbackServer

WHY = "the extra `weaviate` is not installed"
KEY = "the-key"
_MOST_RESULTS = 10_000
_LEAST_RANKED = 100
_STOPWORDS = {
    "none": frozenset[str](),
    "en": frozenset(
        re.findall(
            r"\w+",
            "a an and are as at be but by for if in into is it no not of on or such that the their then "
            "there these they this to was will with",
        )
    ),
}
_TOKENS: dict[str, Callable[[str], list[str]]] = {
    "word": lambda text: re.findall(r"[^\W_]+", text.lower()),
    "lowercase": lambda text: text.lower().split(),
    "whitespace": str.split,
    "field": lambda text: [text.strip()],
}
_CLASS: dict[str, Any] = {
    "invertedIndexConfig": {
        "bm25": {"b": 0.75, "k1": 1.2},
        "cleanupIntervalSeconds": 60,
        "stopwords": {"preset": "en", "additions": None, "removals": None},
    },
    "multiTenancyConfig": {"enabled": False},
    "replicationConfig": {"factor": 1},
    "shardingConfig": {
        "virtualPerPhysical": 128,
        "desiredCount": 1,
        "actualCount": 1,
        "desiredVirtualCount": 128,
        "actualVirtualCount": 128,
        "key": "_id",
        "strategy": "hash",
        "function": "murmur3",
    },
    "vectorizer": "none",
    "vectorIndexType": "hnsw",
    "vectorIndexConfig": {
        "skip": False,
        "cleanupIntervalSeconds": 300,
        "maxConnections": 32,
        "efConstruction": 128,
        "ef": -1,
        "dynamicEfMin": 100,
        "dynamicEfMax": 500,
        "dynamicEfFactor": 8,
        "vectorCacheMaxObjects": 1_000_000_000_000,
        "flatSearchCutoff": 40_000,
        "distance": "cosine",
        "filterStrategy": "sweeping",
    },
}
_PROPERTY = {"tokenization": "word", "indexFilterable": True, "indexSearchable": True, "dataType": ["text"]}


class _RefusedError(Exception):
    """What Weaviate answers with an error of its own words."""


class WeaviateServer:
    """One server with its collections. `requests` keeps what came by HTTP, `calls` each gRPC message."""

    def __init__(self) -> None:
        """Make a server without a collection; see `opened_weaviate`."""
        self.requests: list[HttpRequest] = []
        self.calls: list[tuple[str, Any]] = []
        self.schema: dict[str, dict[str, Any]] = {}
        self.objects: dict[str, dict[str, Any]] = {}
        self.refused: dict[str, str] = {}
        self.where: Any = None
        self._grpc: Any = pytest.importorskip("grpc", reason=WHY)
        self._search: Any = pytest.importorskip("weaviate.proto.v1.search_get_pb2", reason=WHY)
        self._batch: Any = pytest.importorskip("weaviate.proto.v1.batch_pb2", reason=WHY)
        self._deletes: Any = pytest.importorskip("weaviate.proto.v1.batch_delete_pb2", reason=WHY)
        self._base: Any = pytest.importorskip("weaviate.proto.v1.base_pb2", reason=WHY).Filters

    def sent(self, name: str) -> list[Any]:
        """Return the messages that came to a gRPC method, oldest first."""
        return [message for called, message in self.calls if called == name]

    async def answer(self, request: HttpRequest, response: HttpResponse) -> None:
        """Answer one HTTP request."""
        self.requests.append(request)
        name = request.path.removeprefix("/v1/schema/")
        if request.path.startswith("/v1/schema") and request.headers.get("authorization") != f"Bearer {KEY}":
            await response.send(401, b'{"error": [{"message": "anonymous access not enabled"}]}')
        elif request.path == "/v1/meta":
            await response.send(200, b'{"version": "1.32.0", "hostname": "loopback", "modules": {}}')
        elif (request.method, request.path) == ("POST", "/v1/schema"):
            made = self._create(json.loads(request.body))
            await response.send(200, json.dumps(made).encode())
        elif request.method == "GET" and name in self.schema:
            await response.send(200, json.dumps(self.schema[name]).encode())
        else:
            await response.send(404, b"")

    def _create(self, wanted: dict[str, Any]) -> dict[str, Any]:
        inverted = _CLASS["invertedIndexConfig"] | wanted.get("invertedIndexConfig", {})
        inverted["stopwords"] = _CLASS["invertedIndexConfig"]["stopwords"] | inverted["stopwords"]
        made = _CLASS | wanted
        made["invertedIndexConfig"] = inverted
        made["vectorIndexConfig"] = _CLASS["vectorIndexConfig"] | wanted.get("vectorIndexConfig", {})
        made["properties"] = [_PROPERTY | one for one in wanted["properties"]]
        self.schema[made["class"]] = made
        self.objects[made["class"]] = {}
        return made

    def servicer(self) -> SimpleNamespace:
        """Return the methods of the gRPC service."""
        calls = {
            "Search": self._on_search,
            "BatchObjects": self._on_batch,
            "BatchDelete": self._on_delete,
            "TenantsGet": self._on_unknown,
            "Aggregate": self._on_unknown,
        }
        return SimpleNamespace(**{name: self._called(name, call) for name, call in calls.items()})

    def _called(self, name: str, call: Callable[[Any], Any]) -> Any:
        async def method(message: Any, context: Any) -> Any:
            if ("authorization", f"Bearer {KEY}") not in context.invocation_metadata():
                await context.abort(self._grpc.StatusCode.UNAUTHENTICATED, "unauthorized: invalid api key")
            self.calls.append((name, message))
            try:
                return call(message)
            except _RefusedError as refused:
                await context.abort(self._grpc.StatusCode.UNKNOWN, str(refused))

        return method

    def _on_unknown(self, message: Any) -> Any:
        raise _RefusedError(f"this server knows no {type(message).__name__}")

    def _held(self, name: str) -> dict[str, Any]:
        if name not in self.schema:
            raise _RefusedError(f"could not find class {name} in schema")
        return self.objects[name]

    def _on_batch(self, message: Any) -> Any:
        reply = self._batch.BatchObjectsReply()
        for index, one in enumerate(message.objects):
            if one.uuid in self.refused:
                reply.errors.add(index=index, error=self.refused[one.uuid])
                continue
            held = self._held(one.collection)
            known = self.schema[one.collection]["properties"]
            names = {field["name"] for field in known}
            known += [
                _PROPERTY | {"name": name}
                for name in one.properties.non_ref_properties.fields
                if name not in names
            ]
            held[one.uuid] = one
        return reply

    def _on_delete(self, message: Any) -> Any:
        held = self._held(message.collection)
        gone = [one for one in held.values() if self._fits(message.collection, message.filters, one)]
        for one in gone:
            del held[one.uuid]
        return self._deletes.BatchDeleteReply(matches=len(gone), successful=len(gone))

    def _on_search(self, message: Any) -> Any:
        held = self._held(message.collection)
        if message.limit > _MOST_RESULTS:
            raise _RefusedError("invalid pagination params: query maximum results exceeded")
        if message.hybrid_search.alpha != 1.0:
            raise _RefusedError("this server knows hybrid search by vectors alone, alpha 1")
        self._check(message.collection, message.filters)
        asked = vector_of(message.hybrid_search)
        ranked = [
            (_similarity(asked, vector_of(one)), one)
            for one in held.values()
            if self._fits(message.collection, message.filters, one)
        ]
        ranked.sort(key=lambda pair: -pair[0])
        ranked = ranked[: max(message.limit, _LEAST_RANKED)]
        reply = self._search.SearchReply()
        for similarity, one in ranked[: message.limit]:
            best, last = ranked[0][0], ranked[-1][0]
            result = reply.results.add()
            result.metadata.id_as_bytes = uuid.UUID(one.uuid).bytes
            result.metadata.score = (similarity - last) / (best - last) if best != last else 1.0
            result.metadata.score_present = message.metadata.score
            for key, value in one.properties.non_ref_properties.items():
                result.properties.non_ref_props.fields[key].text_value = value
        return reply

    def _check(self, collection: str, wanted: Any) -> None:
        """Refuse filters that Weaviate refuses, whatever is held."""
        for part in wanted.filters:
            self._check(collection, part)
        if wanted.operator == self._base.OPERATOR_EQUAL:
            self._tokens(collection, wanted.target.property, wanted.value_text)

    def _tokens(self, collection: str, name: str, text: str) -> list[str]:
        known = {field["name"]: field for field in self.schema[collection]["properties"]}
        if name not in known:
            raise _RefusedError(
                f"no such prop with name '{name}' found in class '{collection}' in the schema. "
                "Check your schema files for which properties in this class are available"
            )
        if not (known[name]["indexFilterable"] or known[name]["indexSearchable"]):
            raise _RefusedError(f"Filtering by property '{name}' requires inverted index.")
        preset = self.schema[collection]["invertedIndexConfig"]["stopwords"]["preset"]
        tokens = [one for one in _TOKENS[known[name]["tokenization"]](text) if one not in _STOPWORDS[preset]]
        if not tokens:
            raise _RefusedError(
                "invalid search term, only stopwords provided. "
                "Stopwords can be configured in class.invertedIndexConfig.stopwords"
            )
        return tokens

    def _fits(self, collection: str, wanted: Any, one: Any) -> bool:
        if wanted.operator == self._base.OPERATOR_AND:
            return all(self._fits(collection, part, one) for part in wanted.filters)
        if wanted.operator == self._base.OPERATOR_CONTAINS_ANY and wanted.target.property == "_id":
            return one.uuid in wanted.value_text_array.values
        if wanted.operator != self._base.OPERATOR_EQUAL:
            raise _RefusedError(f"this server knows AND, EQUAL and ids, not the operator {wanted.operator}")
        name = wanted.target.property
        tokens = self._tokens(collection, name, wanted.value_text)
        fields = {field["name"]: field for field in self.schema[collection]["properties"]}
        held = one.properties.non_ref_properties.fields[name].string_value
        return set(tokens) <= set(_TOKENS[fields[name]["tokenization"]](held))


def vector_of(message: Any) -> tuple[float, ...]:
    """Return the vector in an object or a search: 32-bit floats, little-endian."""
    packed: bytes = message.vector_bytes or message.vectors[0].vector_bytes
    return struct.unpack(f"<{len(packed) // 4}f", packed)


def _similarity(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    if len(one) != len(other):
        raise _RefusedError(f"vector lengths don't match: {len(one)} vs {len(other)}")
    size = (sum(a * a for a in one) * sum(b * b for b in other)) ** 0.5
    return sum(a * b for a, b in zip(one, other, strict=True)) / size if size else 0.0


@asynccontextmanager
async def opened_weaviate() -> AsyncGenerator[WeaviateServer]:
    """Yield a server on two free ports; the test is skipped where its client is not installed."""
    weaviate: Any = pytest.importorskip("weaviate", reason=WHY)
    services: Any = pytest.importorskip("weaviate.proto.v1.weaviate_pb2_grpc", reason=WHY)
    grpc: Any = pytest.importorskip("grpc", reason=WHY)
    made = WeaviateServer()
    served = grpc.aio.server()
    services.add_WeaviateServicer_to_server(made.servicer(), served)
    grpc_port = served.add_insecure_port("127.0.0.1:0")
    await served.start()
    try:
        async with LoopbackServer(made.answer) as http:
            made.where = weaviate.connect.ConnectionParams.from_params(
                http_host="127.0.0.1",
                http_port=http.port,
                http_secure=False,
                grpc_host="127.0.0.1",
                grpc_port=grpc_port,
                grpc_secure=False,
            )
            yield made
    finally:
        await served.stop(None)


@asynccontextmanager
async def opened_vectors(
    server: WeaviateServer, embeddings: Embeddings, name: str, *, key: str = KEY, **options: Any
) -> AsyncGenerator[Any]:
    """Yield a `WeaviateVectorStore` with both of its clients, as docs/other-stores.md makes one."""
    weaviate: Any = pytest.importorskip("weaviate", reason=WHY)
    langchain_weaviate: Any = pytest.importorskip("langchain_weaviate", reason=WHY)
    auth = weaviate.auth.AuthApiKey(key)
    settings = {"auth_client_secret": auth, "skip_init_checks": True}  # a check asks a package index
    async with AsyncExitStack() as stack:
        client = weaviate.WeaviateClient(server.where, **settings)
        stack.push_async_callback(asyncio.to_thread, client.close)
        await asyncio.to_thread(client.connect)
        client_async = await stack.enter_async_context(weaviate.WeaviateAsyncClient(server.where, **settings))
        yield await asyncio.to_thread(
            langchain_weaviate.WeaviateVectorStore,
            client,
            name,
            "text",
            embedding=embeddings,
            client_async=client_async,
            **options,
        )
