"""The embedded embedding model: all-MiniLM-L6-v2 with int8 weights, on the processor, in this process.

Source: the model's card, sentence-transformers/all-MiniLM-L6-v2: mean over the tokens, then length 1.
"""

import asyncio
import importlib
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any, Final

import numpy as np
from langchain_core.embeddings import Embeddings
from numpy.typing import NDArray
from typing_extensions import override

from core.embedded.assets import ensure_asset
from core.embedded.catalogue import EMBEDDING_MODEL, EMBEDDING_TOKENIZER
from core.errors import ConfigurationError
from core.progress import Progress

DIMENSIONS: Final = 384
_MAX_TOKENS: Final = 256
_BATCH: Final = 32
_THREADS: Final = 2


@dataclass(frozen=True, slots=True)
class _Loaded:
    """The tokenizer and the network; both may be used by several threads at once."""

    tokenizer: Any
    session: Any

    def embed(self, texts: list[str]) -> list[list[float]]:
        encoded = self.tokenizer.encode_batch(texts)
        ids = np.array([e.ids for e in encoded], dtype=np.int64)
        mask = np.array([e.attention_mask for e in encoded], dtype=np.int64)
        inputs = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        named = {i.name: inputs[i.name] for i in self.session.get_inputs()}
        return _pooled(self.session.run(None, named)[0], mask).tolist()


def _pooled(tokens: NDArray[np.float32], mask: NDArray[np.int64]) -> NDArray[np.float32]:
    weights = mask[:, :, None].astype(np.float32)
    mean = (tokens * weights).sum(axis=1) / np.maximum(weights.sum(axis=1), 1.0)
    return mean / np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), 1e-12)


def _load(model: Path, tokenizer: Path) -> _Loaded:
    try:
        onnx, tokenizers = importlib.import_module("onnxruntime"), importlib.import_module("tokenizers")
    except ImportError as error:
        raise ConfigurationError(
            f"The embedded embeddings need the package {error.name}, which isn't installed. Install"
            " boring-agents with its extra `local`, or set BORING_EMBEDDING_BASE_URL to an endpoint."
        ) from error
    cutter = tokenizers.Tokenizer.from_file(str(tokenizer))
    cutter.enable_truncation(max_length=_MAX_TOKENS)
    cutter.enable_padding()
    options = onnx.SessionOptions()
    options.intra_op_num_threads = _THREADS
    options.inter_op_num_threads = 1
    # Threads that spin while they wait would take the cores from the language model.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnx.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    return _Loaded(cutter, session)


class EmbeddedEmbeddings(Embeddings):
    """Turns texts into vectors of 384 numbers and length 1; what stands after 256 tokens is not read.

    The model is loaded at the first use, once, in the thread that computes.
    """

    def __init__(self, model: Path, tokenizer: Path) -> None:
        self._files = (model, tokenizer)
        self._lock = Lock()
        self._loaded: _Loaded | None = None

    @override
    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Embed texts. Blocks."""
        model = self._model()
        vectors: list[list[float]] = [[]] * len(texts)
        for places, batch in _batches(texts):
            for place, vector in zip(places, model.embed(batch), strict=True):
                vectors[place] = vector
        return vectors

    @override
    def embed_query(self, text: str) -> list[float]:
        """Embed one text. Blocks."""
        return self.embed_documents([text])[0]

    @override
    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        """Embed texts in a thread; the order is kept."""
        return await asyncio.to_thread(self.embed_documents, texts)

    @override
    async def aembed_query(self, text: str) -> list[float]:
        """Embed one text in a thread."""
        return (await self.aembed_documents([text]))[0]

    def _model(self) -> _Loaded:
        with self._lock:
            if self._loaded is None:
                self._loaded = _load(*self._files)
            return self._loaded


def _batches(texts: list[str]) -> Iterator[tuple[list[int], list[str]]]:
    """Group texts of like length, since a batch costs as much as its longest text; give their places too."""
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    for start in range(0, len(order), _BATCH):
        places = order[start : start + _BATCH]
        yield places, [texts[i] for i in places]


@asynccontextmanager
async def embedded_embeddings(
    cache_dir: Path, *, progress: Progress | None = None
) -> AsyncGenerator[EmbeddedEmbeddings]:
    """Fetch the model where it's missing, and yield it; it is let go with the block.

    Raises:
        AssetError: its files can't be had.
    """
    model = await ensure_asset(EMBEDDING_MODEL, cache_dir, progress=progress)
    tokenizer = await ensure_asset(EMBEDDING_TOKENIZER, cache_dir, progress=progress)
    yield EmbeddedEmbeddings(model, tokenizer)
