"""Private data and secrets are found, nothing else is, and no text takes long to look through."""

import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from observability.redactor import redacted, redacted_value
from tests.canaries import BEGIN, CANARIES, SENTENCES, left_in


@pytest.mark.parametrize("kind", CANARIES)
def test_each_kind_is_replaced_by_its_name(kind: str) -> None:
    sentence, part = CANARIES[kind]
    assert part in sentence
    assert f"[{kind.partition(' ')[0]}]" in redacted(sentence)
    assert left_in(redacted(sentence)) == []


def test_what_is_around_a_finding_stays() -> None:
    told = "IBAN GB82 WEST 1234 5698 7654 32 THEN mail ada@example.org, or call 1234 4111 1111 1111 1111."
    assert redacted(told) == "IBAN [IBAN] THEN mail [EMAIL], or call 1234 [CARD]."


@pytest.mark.parametrize(
    "told",
    [
        "What is 17 * 23?",
        "It took 1234 ms and max_tokens=512 at 2026-11-28T10:45:10.123456+00:00.",
        "f47ac10b-58cc-4372-a567-0e02b2c3d479",
        "The password is required, and a token counts as a word.",
        "call_3f2a9c1b7d4e and 0123456789abcdef0123456789abcdef",
        "1764000000000000000",
        "http://127.0.0.1:8000/v1 and ::1",
        "std::vector<int> a::b",
        "DE00370400440532013000 is no account, nor is 4111 1111 1111 1112 a card",
        "basic understanding of bearer bonds",
        "the year 1815, pages 12-17, version 1.25.0",
    ],
)
def test_what_is_nobody_s_stays(told: str) -> None:
    assert redacted(told) == told


def test_values_within_values_are_looked_through_and_names_tell_of_secrets() -> None:
    given_value: Any = {
        "who": [{"mail": "ada@example.org"}, ("x", {"deep": {"er": [SENTENCES]}})],
        "password": "analytical",
        "clientSecret": "engine",
        "phone": "030 12",
        "card": 4111111111111111,
        "ada@example.org": 1,
        "tokens": 512,
        "paid": True,
        "at": None,
    }
    told = redacted_value(given_value)
    assert left_in(json.dumps(told)) == []
    assert (told["password"], told["clientSecret"], told["phone"]) == ("[SECRET]", "[SECRET]", "[PHONE]")
    assert (told["card"], told["[EMAIL]"], told["tokens"]) == ("[CARD]", 1, 512)
    assert (told["paid"], told["at"], told["who"][0]) == (True, None, {"mail": "[EMAIL]"})


PIECES = st.sampled_from(
    [*(sentence for sentence, _ in CANARIES.values()), " ", "\n", "[", "=", "x", "7", "@"]
)


@settings(max_examples=60, deadline=None)
@given(st.lists(PIECES | st.text(max_size=8), max_size=12).map(" ".join))
def test_redacting_twice_is_redacting_once(told: str) -> None:
    once = redacted(told)
    assert redacted(once) == once
    assert left_in(once) == []


UNITS = (
    "a",
    "a-",
    "a.",
    "a@",
    "1 ",
    "4111 ",
    "4111-",
    "eyJ",
    "://a:",
    "password=",
    "passport ",
    "GB82 ",
    "a:",
)
NAMING = (
    "name: password ",
    "name:",
    "value: ",
    "password:[",
    "api_key",
    "secret: [x",
    "\u200b1",
    "ssn 1",
    "\u0661",
    "--",
    "--a ",
    "authorization: ",
    "authorization: a b=",
    "machine a login a ",
    " password: |\n",
    "password: |\n [A]",
    'env("token",',
    "password {value ",
    "key=a.a.a.aaaaaaaaaaaaaaa ",
    "12345 is your a ",
    "Private-Lines: 1\na\n",
    "://a@a:a/",
    "password 'a",
    "1/1",
)


@pytest.mark.parametrize("unit", [*UNITS, "+1 ", "0", BEGIN, "12 Ab ", "sk-ant-", "\\", *NAMING])
def test_time_grows_with_the_length_of_a_hostile_text_and_no_faster(unit: str) -> None:
    def took(many: int) -> float:
        text = f"{unit * many} @ password"
        begun = time.process_time()
        redacted(text)
        return time.process_time() - begun

    redacted(SENTENCES)
    short, long = min(took(1_000) for _ in range(3)), took(16_000)
    assert long < 16 * short * 4 + 0.05


@pytest.mark.parametrize(
    "held", ["[hunter2", ["hunter2"], {"old": "hunter2", "new": ["hunter2"]}, [{"value": "hunter2"}]]
)
def test_whatever_stands_under_the_name_of_a_secret_is_one(held: Any) -> None:
    left = redacted_value({"password": held, "why": "rotation"})
    assert "hunter2" not in str(left)
    assert left["why"] == "rotation"
    assert redacted_value(left) == left
