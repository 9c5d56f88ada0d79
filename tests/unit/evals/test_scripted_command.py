import json
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from evals.scripted_model import Reply, ToolCall, read_script

ROOT = Path(__file__).resolve().parents[3]


def test_the_command_serves_a_script_and_records_what_it_was_asked(tmp_path: Path) -> None:
    script, record = tmp_path / "script.json", tmp_path / "record.jsonl"
    script.write_text(json.dumps(["Hello.", {"tool_calls": [{"name": "find", "arguments": {"q": "x"}}]}]))
    command = [sys.executable, "-m", "evals.scripted_model", str(script), "--record", str(record)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        body = {"model": "m", "messages": [{"role": "user", "content": "x"}]}
        first, second = (
            httpx.post(f"{url}/chat/completions", json=body, timeout=20).json() for _ in range(2)
        )
        process.terminate()
        assert process.wait(20) == 0
    assert first["choices"][0]["message"]["content"] == "Hello."
    assert second["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"] == '{"q": "x"}'
    assert [json.loads(line) for line in record.read_text().splitlines()] == [body, body]


def test_a_script_is_read_into_replies(tmp_path: Path) -> None:
    script = tmp_path / "script.json"
    script.write_text('["Hi", {"status": 429, "retry_after_s": 2}, {"tool_calls": [{"name": "f"}]}]')
    assert read_script(script) == [
        "Hi",
        Reply(status=429, retry_after_s=2),
        Reply(tool_calls=(ToolCall("f"),)),
    ]


@pytest.mark.parametrize("text", ['{"text": "x"}', '[{"txt": "x"}]', '[{"tool_calls": [{"nam": "f"}]}]', "["])
def test_a_script_with_a_mistake_is_refused(text: str, tmp_path: Path) -> None:
    script = tmp_path / "script.json"
    script.write_text(text)
    with pytest.raises(ValueError, match="validation error"):
        read_script(script)
