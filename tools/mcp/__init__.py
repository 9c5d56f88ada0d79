"""Tools of MCP servers, under the same contract as our own: servers, sessions, arguments, pins."""
