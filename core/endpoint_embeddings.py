"""Embeddings of an OpenAI-compatible endpoint, whose failures say what to do."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from langchain_core.embeddings import Embeddings
from langchain_openai import OpenAIEmbeddings
from openai import APIConnectionError, APIStatusError
from pydantic import SecretStr

from core.errors import ConfigurationError, TransientError

Vectors = TypeVar("Vectors")
_PASSING_STATUS = 500


class EndpointEmbeddings(Embeddings):
    """The embedding model of an endpoint, with what it wants before questions and before documents.

    Raises:
        TransientError: the endpoint is busy or failing; another attempt may succeed.
        ConfigurationError: the endpoint can't be reached or refuses the request.
    """

    def __init__(
        self,
        *,
        model: str,
        base_url: str | None,
        api_key: SecretStr,
        query_prefix: str = "",
        document_prefix: str = "",
    ) -> None:
        self._model = model
        self._query_prefix = query_prefix
        self._document_prefix = document_prefix
        self._at = base_url or "OpenAI"
        self._client = OpenAIEmbeddings(
            model=model,
            base_url=base_url,
            api_key=api_key,
            max_retries=1,
            check_embedding_ctx_length=False,  # token ids in place of text are a speciality of OpenAI
        )

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Refuse: this project is asynchronous."""
        raise NotImplementedError("use aembed_documents")

    def embed_query(self, text: str) -> list[float]:
        """Refuse: this project is asynchronous."""
        raise NotImplementedError("use aembed_query")

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        """Return a vector for each text."""
        return await self._told(
            lambda: self._client.aembed_documents([self._document_prefix + t for t in texts])
        )

    async def aembed_query(self, text: str) -> list[float]:
        """Return the vector of a question."""
        return await self._told(lambda: self._client.aembed_query(self._query_prefix + text))

    async def _told(self, call: Callable[[], Awaitable[Vectors]]) -> Vectors:
        where = f"the embedding model {self._model!r} at {self._at}"
        try:
            return await call()
        except APIConnectionError as error:
            raise ConfigurationError(
                f"{where} can't be reached. Start it, or correct BORING_EMBEDDING_BASE_URL."
            ) from error
        except APIStatusError as error:
            if error.status_code == 429 or error.status_code >= _PASSING_STATUS:  # noqa: PLR2004
                raise TransientError(f"{where} answered with HTTP {error.status_code}. Try again.") from error
            raise ConfigurationError(
                f"{where} answered with HTTP {error.status_code}. Correct BORING_EMBEDDING_MODEL, "
                "BORING_EMBEDDING_BASE_URL and BORING_EMBEDDING_API_KEY."
            ) from error
