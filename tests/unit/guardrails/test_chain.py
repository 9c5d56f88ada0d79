"""The rules of a chain, step by step."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrails.approval import Demand, Escalate, Level
from guardrails.chain import (
    Agreement,
    Chain,
    NotAllowedError,
    agreed,
    begun,
    credited,
    lapsed,
    level_for,
    unreachable,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ROLES = {"clerk": ["carl", "ann"], "boss": ["ann", "bob", "eve"]}
LEVELS = (Level("clerk"), Level("boss", quorum=2))


def chain(*levels: Level, order: Any = "sequence") -> Chain:
    return begun(Demand("why", levels or LEVELS, order), NOW)


def approve(one: Chain, *people: str) -> Chain:
    for who in people:
        at = level_for(one, who, requester="uma", roles=ROLES)
        one = agreed(one, at, Agreement(who, NOW, "h"), now=NOW)
    return one


def states(one: Chain) -> list[str]:
    return [level.state for level in one.levels]


def test_levels_open_one_after_the_other_or_all_at_once() -> None:
    assert states(chain()) == ["open", "waiting"]
    assert states(chain(order="parallel")) == ["open", "open"]
    assert states(approve(chain(), "carl")) == ["agreed", "open"]
    assert approve(chain(), "carl", "ann", "bob").is_agreed


def test_one_person_with_two_roles_speaks_in_one_level_at_a_time() -> None:
    one = approve(chain(order="parallel"), "ann", "ann")
    assert [[agreement.by for agreement in level.agreed] for level in one.levels] == [["ann"], ["ann"]]
    with pytest.raises(NotAllowedError, match="ann has decided already"):
        approve(one, "ann")


def test_time_is_counted_from_when_a_level_is_asked() -> None:
    one = chain(Level("clerk"), Level("boss", expires_s=60))
    assert one.due_at is None
    later = NOW + timedelta(days=1)
    one = agreed(one, 0, Agreement("carl", later, "h"), now=later)
    assert one.due_at == later + timedelta(seconds=60)


def test_an_escalated_level_has_its_time_again_and_forgets_who_agreed() -> None:
    boss = Level("boss", quorum=2, expires_s=60, on_expiry=Escalate("clerk", on_expiry="approve"))
    one = approve(chain(boss), "bob")
    late = NOW + timedelta(seconds=60)
    one, lapses = lapsed(one, late)
    assert [(lapse.role, lapse.then, lapse.to) for lapse in lapses] == [("boss", "escalate", "clerk")]
    (level,) = one.levels
    assert (level.level.role, level.agreed, level.before) == ("clerk", (), ("boss",))
    assert level.due_at == late + timedelta(seconds=60)
    one, _ = lapsed(one, late + timedelta(seconds=60))
    assert one.is_agreed


def test_what_is_denied_stays_denied() -> None:
    one = chain(Level("clerk", expires_s=60), Level("boss"), order="parallel")
    one, lapses = lapsed(one, NOW + timedelta(seconds=61))
    assert ([lapse.then for lapse in lapses], states(one)) == (["deny"], ["expired", "open"])
    assert not agreed(one, 1, Agreement("bob", NOW, "h"), now=NOW).is_agreed


def test_nothing_lapses_before_its_time() -> None:
    one = chain(Level("clerk", expires_s=60))
    assert lapsed(one, NOW + timedelta(seconds=59.9)) == (one, [])


def test_who_edited_has_agreed_when_it_is_their_turn() -> None:
    one = credited(chain(Level("clerk"), Level("boss")), "boss", Agreement("bob", NOW, "h"), now=NOW)
    assert states(one) == ["open", "waiting"]
    assert approve(one, "carl").is_agreed
    assert states(credited(chain(), "stranger", Agreement("x", NOW, "h"), now=NOW)) == ["open", "waiting"]


def test_who_edited_in_a_level_that_was_escalated_has_agreed_in_that_level() -> None:
    boss = Level("boss", quorum=2, expires_s=60, on_expiry=Escalate("ceo", on_expiry=Escalate("owner")))
    began = chain(Level("clerk"), boss, Level("ceo"))
    by_ceo = credited(began, "ceo", Agreement("zed", NOW, "h"), before=("boss",), now=NOW)
    level = by_ceo.levels[1]
    assert (level.level.role, level.level.quorum, level.before) == ("ceo", 1, ("boss",))
    assert [[one.by for one in level.agreed] for level in by_ceo.levels] == [[], ["zed"], []]
    assert states(by_ceo) == ["open", "waiting", "waiting"]
    assert states(approve(by_ceo, "carl")) == ["agreed", "agreed", "open"]
    by_owner = credited(began, "owner", Agreement("olga", NOW, "h"), before=("boss", "ceo"), now=NOW)
    assert (by_owner.levels[1].level.role, by_owner.levels[1].before) == ("owner", ("boss", "ceo"))
    in_time = credited(began, "ceo", Agreement("zed", NOW, "h"), now=NOW)
    assert [len(level.agreed) for level in in_time.levels] == [0, 0, 1]
    assert credited(chain(boss), "ceo", Agreement("zed", NOW, "h"), now=NOW) == chain(boss)


def test_a_level_that_too_few_others_could_agree_to_is_found() -> None:
    levels = (Level("clerk"), Level("boss", quorum=3))
    assert unreachable(levels, requester="uma", roles=ROLES) is None
    assert unreachable(levels, requester="bob", roles=ROLES) == levels[1]
    in_time = (Level("boss", quorum=3, expires_s=5),)
    assert unreachable(in_time, requester="bob", roles=ROLES) is None


@given(st.lists(st.sampled_from(["carl", "ann", "bob", "eve", "uma", "zoe", ""]), max_size=12))
def test_whoever_presses_in_whatever_order_a_chain_is_agreed_by_enough_different_people(
    people: list[str],
) -> None:
    one = chain()
    for who in people:
        try:
            one = approve(one, who)
        except NotAllowedError:
            continue
    for level in one.levels:
        who = [agreement.by for agreement in level.agreed]
        assert len(who) == len(set(who)) <= level.level.quorum
        assert set(who) <= set(ROLES[level.level.role])
        assert (level.state == "agreed") == (len(who) == level.level.quorum)
