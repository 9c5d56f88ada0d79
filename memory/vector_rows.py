"""An item of a store as a document of a vector store, and back."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

from langchain_core.documents import Document
from langgraph.store.base import Item, PutOp, SearchItem

DEPTHS = (1, 2, 3)
"""How many first labels of a namespace the vector store filters by; deeper ones are compared here."""
FILTERED = ("owner", "place", "indexed", *(f"within_{depth}" for depth in DEPTHS))
"""The metadata that is filtered by: hashes and single words, one token for any tokenizer."""
FIELDS = (*FILTERED, "item")
"""The metadata of a document, all texts."""
INDEXED = {"indexed": "yes"}
NOT_INDEXED = {"indexed": "never"}
"""Whether a document is found by meaning. Not `no`: Weaviate filters by no English stopword."""
PLACEHOLDER = "item"
"""The text of an item that is not searched: a vector store embeds every document."""


@dataclass(frozen=True, slots=True)
class Row:
    """One item with what is known of it.

    Attributes:
        tenant: whose it is.
        text: what it is found by; None is not found by meaning.
        expires_at: from when on it counts as gone; None stays.
        score: how well it fits the question, more is better.
    """

    tenant: str
    namespace: tuple[str, ...]
    key: str
    value: dict[str, Any]
    text: str | None
    created_at: datetime
    updated_at: datetime
    expires_at: datetime | None = None
    score: float | None = None

    @property
    def id(self) -> str:
        """The document's name: one for each tenant, namespace and key."""
        return id_of(self.tenant, self.namespace, self.key)

    @property
    def has_expired(self) -> bool:
        """Whether it counts as gone."""
        return self.expires_at is not None and self.expires_at <= datetime.now(UTC)

    def item(self) -> Item:
        """Return it as a store gives it."""
        return Item(
            namespace=self.namespace,
            key=self.key,
            value=self.value,
            created_at=self.created_at,
            updated_at=self.updated_at,
        )

    def search_item(self) -> SearchItem:
        """Return it as a store's search gives it."""
        return SearchItem(
            self.namespace, self.key, self.value, self.created_at, self.updated_at, score=self.score
        )


def id_of(tenant: str, namespace: Sequence[str], key: str) -> str:
    """Return the name of the document at a place, a UUID."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, json.dumps([tenant, list(namespace), key])))


def owned(tenant: str) -> dict[str, str]:
    """Return the fields, and what they equal, of all documents of a tenant."""
    return {"owner": _hash([tenant])}


def within(tenant: str, prefix: Sequence[str]) -> dict[str, str]:
    """Return the fields, and their values, of the documents below a namespace."""
    depth = min(len(prefix), DEPTHS[-1])
    return owned(tenant) | ({f"within_{depth}": _hash(prefix[:depth])} if depth else {})


def new_row(tenant: str, op: PutOp, value: dict[str, Any], *, text: str | None, before: Row | None) -> Row:
    """Return what a put leaves, in place of what was there before."""
    now = datetime.now(UTC)
    expires_at = None if op.ttl is None else now + timedelta(minutes=op.ttl)
    created_at = before.created_at if before else now
    return Row(tenant, op.namespace, op.key, value, text, created_at, now, expires_at)


def document_of(row: Row) -> Document:
    """Return the document that keeps an item."""
    kept = {
        "tenant": row.tenant,
        "namespace": list(row.namespace),
        "key": row.key,
        "value": row.value,
        "text": row.text,
        "created_at": row.created_at.isoformat(),
        "updated_at": row.updated_at.isoformat(),
        "expires_at": row.expires_at and row.expires_at.isoformat(),
    }
    metadata = {
        **owned(row.tenant),
        "place": row.id.replace("-", ""),
        **(NOT_INDEXED if row.text is None else INDEXED),
        **{f"within_{depth}": _hash(row.namespace[:depth]) for depth in DEPTHS},
        "item": json.dumps(kept, ensure_ascii=False),
    }
    return Document(id=row.id, page_content=row.text or PLACEHOLDER, metadata=metadata)


def row_of(document: Document, *, score: float | None = None) -> Row:
    """Return the item that a document keeps.

    Raises:
        ValueError: it keeps none; something else has written into this collection.
    """
    try:
        kept: dict[str, Any] = json.loads(document.metadata["item"])
        expires_at = kept["expires_at"]
        return Row(
            tenant=kept["tenant"],
            namespace=tuple(kept["namespace"]),
            key=kept["key"],
            value=kept["value"],
            text=kept["text"],
            created_at=datetime.fromisoformat(kept["created_at"]),
            updated_at=datetime.fromisoformat(kept["updated_at"]),
            expires_at=datetime.fromisoformat(expires_at) if expires_at else None,
            score=None if kept["text"] is None else score,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"the document {document.id!r} is no item of a store ({type(error).__name__}: {error}); "
            "give the store a collection of its own"
        ) from error


def _hash(labels: Sequence[str]) -> str:
    return sha256(json.dumps(list(labels)).encode()).hexdigest()[:40]
