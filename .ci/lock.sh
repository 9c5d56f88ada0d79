#!/bin/sh
# Resolves the dependencies into lock files with hashes: for all platforms, Python 3.11 to 3.13, and naming no index.
# Versions stay as locked where they still fit; --upgrade takes the newest.
set -eu
cd "$(dirname "$0")/.."
lock() {
    output=$1
    shift
    .venv/bin/python -E -B .ci/run_uv.py pip compile --quiet --universal --python-version 3.11 --generate-hashes \
        --no-header --no-emit-index-url --no-emit-find-links --output-file "$output" "$@"
}
# Without Presidio, which brings spaCy: its tests run where it is installed.
lock requirements.lock "$@" --extra local --extra server --extra weaviate --extra pinecone --group dev pyproject.toml
# The lean set for production: no embedded parts, no development server, no tools. The same versions.
lock requirements-prod.lock --constraints requirements.lock pyproject.toml
echo uv | lock .ci/uv.lock --no-annotate "$@" -
