#!/bin/sh
# Prepares `.venv` on a machine that has Python 3.11 to 3.13 and pip. Instant when there is nothing to do.
# PYTHON=/path/to/python chooses the interpreter. All it says goes to stderr.
set -eu
cd "$(dirname "$0")/.."
prepare=.ci/prepare.py

if [ -z "${PYTHON:-}" ] && [ -x .venv/bin/python ] && .venv/bin/python -E -S -B "$prepare" --ready 2>/dev/null
then
    exit 0
fi

# Runs the candidate, since a file of that name may be a shim that leads nowhere. Sets `python` when it will do.
# What was found and why it won't do is kept in `found` for the message at the end.
found=''
python=''
try_python() {
    command -v "$1" >/dev/null 2>&1 || return 1
    answer=$("$1" -E -c '
import importlib.util, sys
fits = (3, 11) <= sys.version_info[:2] <= (3, 13)
pip = importlib.util.find_spec("pip") is not None
print("yes" if fits and pip else "no", "%d.%d.%d" % sys.version_info[:3], "" if pip else "without pip")
print(sys.executable)
' 2>/dev/null </dev/null) || return 1
    case $answer in
        yes*) python=$(printf '%s\n' "$answer" | tail -n 1) ;;
        *) found="$found
  $1 is Python $(printf '%s\n' "$answer" | head -n 1 | cut -d ' ' -f 2-)"; return 1 ;;
    esac
}

if [ -n "${PYTHON:-}" ]; then
    try_python "$PYTHON" || true
else
    for candidate in python3 python3.13 python3.12 python3.11 python; do
        try_python "$candidate" && break
    done
fi

if [ -z "$python" ]; then
    echo "setup: needs Python 3.11, 3.12 or 3.13 with pip, and found none${PYTHON:+ (PYTHON is $PYTHON)}." >&2
    echo "Found:${found:- nothing that runs}" >&2
    echo "Install one (Debian, Ubuntu: apt install python3 python3-pip; Fedora: dnf install python3-pip;" >&2
    echo "macOS: brew install python@3.13), or name one: make setup PYTHON=/path/to/python3.12" >&2
    exit 1
fi
exec "$python" -E -B "$prepare" </dev/null
