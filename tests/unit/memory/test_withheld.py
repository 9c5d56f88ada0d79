"""Secrets of well-known forms are told from what only looks like them."""

import pytest

from memory.withheld import withheld


@pytest.mark.parametrize(
    "text",
    [
        "password: The user's password is hunter2.",
        "The PIN of the card is 4711",
        "Mein Passwort lautet Sommer2024",
        "The key is " + "sk" + "-abcdefghijklmnopqrstuvwx",
        "AKIA" + "IOSFODNN7EXAMPLE",
        "-----BEGIN RSA PRIVATE" + " KEY-----",
        "token eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc",
        "postgresql://ada:secret@db/x",
        "They pay by 4111 1111 1111 1111.",
        "4111-1111-1111-1111, of course",
    ],
)
def test_a_secret_is_withheld(text: str) -> None:
    assert withheld(text)


@pytest.mark.parametrize(
    "text",
    [
        "The user likes green tea.",
        "The user forgot the password again.",
        "The order is 4111 1111 1111 1112.",
        "The user was born on 1990-05-17 and has 12 cats.",
        "The user's spinning class is on Monday.",
        "See https://example.com/a:b",
    ],
)
def test_what_is_no_secret_is_kept(text: str) -> None:
    assert withheld(text) is None
