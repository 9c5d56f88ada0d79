"""Enumerates crashes: every boundary of every kind of run, one crash or two, on both cores."""

import asyncio
import json
import os
import random
import signal
import time
import traceback
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Literal

import psycopg

from evals.crashes.boundaries import CRASHED
from evals.crashes.model import BY_TEAMS, PLANS, speak
from evals.crashes.place import Place
from evals.crashes.worker import Job, Report, run_worker
from evals.crashes.world import World, missing_and_twice
from evals.scripted_model import ScriptedModel

_ASKED = "select count(*) from boring.question where thread_id = %s and kind = 'approval'"
_AGREED = "select count(*) from boring.audit where thread_id = %s and event = 'approve'"
MAX_WORKERS = 6
"""Workers that may try to finish one run before it counts as stuck."""
_WORKER_S = 60


@dataclass(frozen=True, slots=True)
class Case:
    """One run that is killed.

    Attributes:
        plan: one of `model.PLANS`.
        crashes: the boundary at which each worker ends, the first worker's first.
        journal: False switches the journal off, to see the check fail.
    """

    durability: Literal["sync", "async"]
    plan: str
    crashes: tuple[int, ...] = ()
    journal: bool = True


@dataclass(slots=True)
class Tally:
    """What came of the cases so far."""

    points: int = 0
    duplicated: int = 0
    lost: int = 0
    asked_twice: int = 0
    stuck: int = 0
    wrong: list[str] = field(default_factory=list[str])

    def add(self, other: "Tally") -> None:
        """Add another tally to this one."""
        self.points += other.points
        self.duplicated += other.duplicated
        self.lost += other.lost
        self.asked_twice += other.asked_twice
        self.stuck += other.stuck
        self.wrong += other.wrong

    def line(self) -> str:
        """Return the figures in one line."""
        return (
            f"points={self.points} duplicated={self.duplicated} lost={self.lost} "
            f"asked_twice={self.asked_twice} stuck={self.stuck}"
        )


@contextmanager
def model_process() -> Generator[str]:
    """Serve the model in a process of its own; yield its address."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            asyncio.run(_serve(writing))
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as told:
        url = told.readline().strip()
    try:
        yield url
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


async def _serve(writing: int) -> None:
    async with ScriptedModel(speak, keep_alive=True) as model:
        os.write(writing, f"{model.base_url}\n".encode())
        await asyncio.Event().wait()


def boundaries_of(place: Place, case: Case) -> int:
    """Return how many boundaries a run of this kind crosses when nobody kills it."""
    reports: list[Report] = []
    tally = run_case(place, replace(case, crashes=()), name=f"whole-{time.time_ns()}", reports=reports)
    if case.journal and tally.wrong:
        raise RuntimeError(f"a run that nobody killed went wrong: {tally.wrong}")
    return reports[-1].crossed


def cases_of(case: Case, boundaries: int, *, singles: int, doubles: int, seed: int) -> list[Case]:
    """Return cases that are killed once, each at another boundary, and cases that are killed twice.

    Args:
        case: the kind of run.
        boundaries: how many it crosses.
        singles: how many to kill once; from the number of boundaries on, every boundary is taken.
        doubles: how many to kill twice.
        seed: for drawing the boundaries.
    """
    draw = random.Random(seed)  # noqa: S311 - repeatable, keeps no secret
    drawn = sorted(draw.sample(range(1, boundaries + 1), min(singles, boundaries)))
    once = [replace(case, crashes=(at,)) for at in drawn]
    pairs = [(draw.randint(1, boundaries), draw.randint(1, boundaries)) for _ in range(doubles)]
    return once + [replace(case, crashes=pair) for pair in pairs]


def run_case(place: Place, case: Case, *, name: str, reports: list[Report] | None = None) -> Tally:
    """Run one case to its end and judge it."""
    folder = place.folder / name
    folder.mkdir()
    job = Job(
        thread_id=name,
        question=f"Do everything for order 7, {case.plan}.",
        durability=case.durability,
        journal=case.journal,
        by_teams=case.plan == BY_TEAMS,
        crash_at=None,
        folder=folder,
        database_url=place.database_url,
        model_url=place.model_url,
    )
    asked_twice = 0
    for number in range(MAX_WORKERS):
        crash_at = case.crashes[number] if number < len(case.crashes) else None
        report = _in_process(replace(job, crash_at=crash_at))
        if report is not None:
            asked_twice += report.asked_twice
            if reports is not None:
                reports.append(report)
            if report.finished:
                return _judged(place, case, job, asked_twice)
    return Tally(1, asked_twice=asked_twice, stuck=1, wrong=[f"{case}: stuck in {folder}"])


def _in_process(job: Job) -> Report | None:
    """Run a worker in a process of its own; None where it was ended."""
    report = job.folder / "report"
    report.unlink(missing_ok=True)
    pid = os.fork()
    if pid == 0:
        _child(job)
    _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    if code == CRASHED:
        return None
    if code != 0 or not report.exists():
        return None
    return Report(**json.loads(report.read_text()))


def _child(job: Job) -> None:
    signal.alarm(_WORKER_S)
    error = os.open(job.folder / "stderr", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.dup2(error, 2)
    try:
        run_worker(job, asyncio.run)
    except BaseException:  # noqa: BLE001 - written down for whoever reads why a run was stuck
        traceback.print_exc()
    finally:
        os._exit(1)


def _judged(place: Place, case: Case, job: Job, asked_twice: int) -> Tally:
    with psycopg.connect(place.database_url) as connection:
        tickets = _count(connection, "select count(*) from boring.ticket where tenant = %s", job.thread_id)
        asked = _count(connection, _ASKED, job.thread_id)
        agreed = _count(connection, _AGREED, job.thread_id)
    missing, twice = missing_and_twice(World(job.folder / "ledger", job.thread_id, lambda: None), tickets)
    levels = (2 if job.by_teams else 1) if job.journal else 0
    if agreed < levels:
        missing.append("approval")
    again = asked_twice + max(0, asked - levels)
    wrong = []
    if missing or twice or again:
        wrong = [f"{case} in {job.folder}: missing {missing}, twice {twice}, asked again {again}"]
    return Tally(1, len(twice), len(missing), again, 0, wrong)


def _count(connection: psycopg.Connection[tuple[int]], statement: str, thread_id: str) -> int:
    row = connection.execute(statement, (thread_id,)).fetchone()  # pyright: ignore[reportArgumentType, reportCallIssue] - one of the constants above
    return row[0] if row else 0


def run_cases(place: Place, cases: Sequence[Case], *, lanes: int) -> Tally:
    """Run cases side by side in `lanes` processes and return what came of them."""
    readers: list[tuple[int, int]] = []
    for lane in range(lanes):
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(reading)
            _lane(place, cases, lane, lanes, writing)
        os.close(writing)
        readers.append((pid, reading))
    whole = Tally()
    for pid, reading in readers:
        with os.fdopen(reading) as told:
            for line in told:
                whole.add(Tally(**json.loads(line)))
        os.waitpid(pid, 0)
    return whole


def _lane(place: Place, cases: Sequence[Case], lane: int, lanes: int, writing: int) -> None:
    try:
        with os.fdopen(writing, "w") as told:
            for number in range(lane, len(cases), lanes):
                tally = run_case(place, cases[number], name=f"case-{os.getpid()}-{number}")
                fields = ("points", "duplicated", "lost", "asked_twice", "stuck", "wrong")
                told.write(json.dumps({name: getattr(tally, name) for name in fields}) + "\n")
    finally:
        os._exit(0)


def kinds(*, journal: bool = True) -> list[Case]:
    """Return every kind of run: both durabilities, every way of planning."""
    return [Case(durability, plan, journal=journal) for durability in ("sync", "async") for plan in PLANS]
