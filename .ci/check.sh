#!/bin/sh
# The one check: by hand, before a commit and in CI. Runs all parts even if one fails, and names those that did.
# Without arguments all parts; otherwise those named: lint, types, floors, tests.
set -u
cd "$(dirname "$0")/.."
bin="$PWD/.venv/bin"
[ $# -gt 0 ] || set -- lint types floors tests
unset PYTHONDONTWRITEBYTECODE # the tests start hundreds of processes; each would compile all that it imports

failed=''
part() {
    name=$1
    shift
    echo "== $name: $(basename "$1") ${2:-}"
    "$@" </dev/null || failed="$failed $name"
}
for wanted in "$@"; do
    case $wanted in
        lint)
            part lint "$bin/ruff" check .
            part format "$bin/ruff" format --check .
            ;;
        types) part types "$bin/basedpyright" ;;
        floors) part floors "$bin/lint-imports" ;;
        tests)
            # Once, on all cores: else each of the tests' workers compiles all that it imports. What can't be
            # compiled, such as templates of code in packages, is imported by nobody.
            "$bin/python" -m compileall -q -j 0 .venv/lib >/dev/null 2>&1 || :
            part tests "$bin/python" -m pytest
            ;;
        *) echo "There is no part '$wanted'; there are: lint types floors tests." >&2; exit 2 ;;
    esac
done
[ -z "$failed" ] || { echo "== failed:$failed" >&2; exit 1; }
echo "== all passed: $*"
