"""What Weaviate needs so that it can keep the items of a store: a collection made for it, and filters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from core.errors import ConfigurationError
from memory.vector_rows import FIELDS, FILTERED

if TYPE_CHECKING:
    from langchain_core.vectorstores import VectorStore


def weaviate_schema(name: str) -> dict[str, Any]:
    """Return the collection that long-term memory needs, for `WeaviateVectorStore(..., schema=...)`.

    What is filtered by is kept whole, as one token; the rest stays out of the filters' index, which takes no
    long texts. No word is a stopword: Weaviate refuses a filter by nothing but those.
    Source: https://docs.weaviate.io/weaviate/config-refs/collections.

    Args:
        name: the collection's, beginning with a capital letter; the same as the vector store's `index_name`.
            Its `text_key` has to be `text`.
    """
    filtered = {"tokenization": "field", "indexFilterable": True, "indexSearchable": False}
    kept = {"indexFilterable": False, "indexSearchable": False}
    searched = {"tokenization": "word", "indexFilterable": False, "indexSearchable": True}
    fields = {"text": searched, **{field: filtered if field in FILTERED else kept for field in FIELDS}}
    return {
        "class": name,
        "vectorizer": "none",
        "vectorIndexConfig": {"distance": "cosine"},
        "invertedIndexConfig": {"stopwords": {"preset": "none"}},
        "properties": [{"name": field, "dataType": ["text"], **how} for field, how in fields.items()],
    }


def check_weaviate(vectors: VectorStore) -> None:
    """Refuse a `WeaviateVectorStore` that can't keep a store's items.

    Raises:
        ConfigurationError: its schema lacks what is filtered by, or it has no asynchronous client.
    """
    schema: dict[str, Any] = getattr(vectors, "schema", None) or {}
    whole = {field["name"] for field in schema.get("properties", ()) if field.get("tokenization") == "field"}
    lacking = [field for field in FILTERED if field not in whole]
    if lacking:
        raise ConfigurationError(
            f"The schema of this WeaviateVectorStore lacks fields of tokenization `field`: "
            f"{', '.join(lacking)}. Make it with schema=weaviate_schema(name), of memory.vector_weaviate, "
            "on a collection of its own."
        )
    if getattr(vectors, "_client_async", None) is None:
        raise ConfigurationError(
            "This WeaviateVectorStore has no asynchronous client, and long-term memory is asynchronous. Make "
            "it with client_async=, a WeaviateAsyncClient that is connected."
        )


def by_weaviate(equal: Mapping[str, str]) -> dict[str, Any]:
    """Return the arguments of a search by meaning alone, where fields equal these texts."""
    from weaviate.classes.query import Filter  # noqa: PLC0415 - an extra, installed where this store is

    parts = [Filter.by_property(key).equal(value) for key, value in equal.items()]
    return {"filters": Filter.all_of(parts), "alpha": 1.0}
