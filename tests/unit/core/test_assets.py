from pathlib import Path

import pytest

from core.embedded.assets import ensure_asset
from core.embedded.catalogue import ASSETS, CHAT, Asset
from core.errors import AssetError


async def test_a_named_model_is_taken_as_it_is(tmp_path: Path) -> None:
    mine = tmp_path / "mine.gguf"
    mine.write_bytes(b"GGUF of my own")
    assert await ensure_asset(CHAT, tmp_path / "cache", named_path=mine) == mine
    assert mine.read_bytes() == b"GGUF of my own"


@pytest.mark.parametrize(
    ("content", "complaint"), [(None, "No such file"), (b"PK\x03\x04", r"b'PK"), (b"", "b''")]
)
async def test_a_named_file_that_is_no_model_is_refused(
    tmp_path: Path, content: bytes | None, complaint: str
) -> None:
    mine = tmp_path / "mine.gguf"
    if content is not None:
        mine.write_bytes(content)
    with pytest.raises(AssetError, match=f"BORING_MODEL_PATH names .*mine.gguf.*{complaint}"):
        await ensure_asset(CHAT, tmp_path / "cache", named_path=mine)


@pytest.mark.parametrize("asset", ASSETS, ids=lambda asset: asset.file)
def test_the_parts_of_an_asset_make_up_all_of_it(asset: Asset) -> None:
    ends = [part.offset + part.size for part in asset.parts]
    assert [part.offset for part in asset.parts] == [0, *ends[:-1]]
    assert ends[-1] == asset.size
    assert len({part.sha256 for part in asset.parts}) == len(asset.parts)


@pytest.mark.parametrize("asset", ASSETS, ids=lambda asset: asset.file)
def test_every_asset_says_where_it_comes_from_and_how_it_may_be_used(asset: Asset) -> None:
    assert asset.licence == "Apache-2.0"
    assert asset.origin
    assert "BORING_" in asset.instead
