"""A server over stdio that keeps to no protocol: `python mcp_misbehaving.py silent|endless|ending|odd`."""

import json
import sys
from typing import Any

how = sys.argv[1]
ODD: list[dict[str, Any]] = [
    {"name": "a.b/c", "description": "Fine.\u200b" + "x" * 5000, "inputSchema": {"type": "object"}},
    {
        "name": "remote",
        "inputSchema": {"type": "object", "properties": {"a": {"$ref": "http://127.0.0.1:9/s"}}},
    },
    {"name": "wrong", "inputSchema": {"type": "object", "properties": {"a": {"type": "nonsense"}}}},
    {"name": "big", "inputSchema": {"type": "object", "description": "x" * 200_000}},
]


def answer(request: dict[str, Any]) -> dict[str, Any]:
    if request["method"] == "initialize":
        return {
            "protocolVersion": request["params"]["protocolVersion"],
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "odd", "version": "1"},
        }
    if how == "odd":
        return {"tools": ODD}
    number = int((request.get("params") or {}).get("cursor", "0"))
    return {
        "tools": [{"name": f"t{number}", "inputSchema": {"type": "object"}}],
        "nextCursor": str(number + 1),
    }


if how == "ending":
    sys.exit("no license found")
for line in sys.stdin:
    asked = json.loads(line)
    if how != "silent" and "id" in asked:
        reply = {"jsonrpc": "2.0", "id": asked["id"], "result": answer(asked)}
        sys.stdout.write(json.dumps(reply) + "\n")
        sys.stdout.flush()
