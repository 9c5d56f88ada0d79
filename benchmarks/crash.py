"""Kill an agent at every boundary of its work, recover it, and count effects repeated or lost.

The last line has the figures. The exit code is 0 if nothing was repeated, lost, asked twice or stuck; with
`--no-journal` it is 0 if duplicates were found, since the check has to be able to fail.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from evals.crashes.enumeration import Tally, boundaries_of, cases_of, kinds, model_process, run_cases
from evals.crashes.place import Place, embedded_database
from evals.crashes.worker import warm_up


def main() -> int:
    """Run the enumeration and print what came of it."""
    options = _options()
    begun = time.monotonic()
    warm_up()
    whole = Tally()
    with (
        tempfile.TemporaryDirectory(prefix="boring-crash-") as folder,
        embedded_database() as database_url,
        model_process() as model_url,
    ):
        place = Place(Path(folder), database_url, model_url)
        for kind in kinds(journal=not options.no_journal):
            if options.durability not in {kind.durability, "both"}:
                continue
            boundaries = boundaries_of(place, kind)
            cases = cases_of(
                kind, boundaries, singles=options.singles, doubles=options.doubles, seed=options.seed
            )
            tally = run_cases(place, cases, lanes=options.lanes)
            whole.add(tally)
            print(f"{kind.durability}, {kind.plan}: {boundaries} boundaries; {tally.line()}", flush=True)
        for wrong in whole.wrong[:20]:
            print(f"wrong: {wrong}")
    print(f"{time.monotonic() - begun:.0f} s")
    print(whole.line())
    if options.no_journal:
        return 0 if whole.duplicated else 1
    return 1 if whole.wrong else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--no-journal", action="store_true", help="switch the journal off: duplicates show")
    parser.add_argument("--singles", type=int, default=55, help="cases killed once, for each kind of run")
    parser.add_argument("--doubles", type=int, default=10, help="cases killed twice, for each kind of run")
    parser.add_argument("--durability", choices=("sync", "async", "both"), default="both")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--lanes", type=int, default=3, help="cases at the same time")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
