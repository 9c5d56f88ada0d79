"""What a name tells is a secret is taken out, however it is written and wherever the name stands."""

from typing import Any

import pytest

from observability.redactor import redacted, redacted_value

SECRET = "hunter2x9"  # noqa: S105 - of nobody


def wide(text: str) -> str:
    """Return a text in full-width forms."""
    return "".join(chr(ord(one) + 0xFEE0) for one in text)


NAMES = (
    "passwords",
    "password2",
    "password_3",
    "PGPASSWORD",
    "DBPassword",
    "newpassword",
    "password_confirmation",
    "user_pw",
    "pw2",
    "smtp_pass",
    "pass",
    "api_keys",
    "apiKeys",
    "APIKey",
    "SECRET_KEY",
    "ssh_keys",
    "client_secrets",
    "access_tokens",
    "authtoken",
    "db_creds",
    "Cookies",
    "pass\u200bword",
    wide("password"),
)


@pytest.mark.parametrize("name", NAMES)
def test_a_field_is_known_by_its_name_in_the_plural_numbered_or_abbreviated(name: str) -> None:
    for held in (SECRET, [SECRET], {"old": SECRET}):
        left = redacted_value({name: held, "why": "rotation"})
        assert SECRET not in str(left)
        assert left["why"] == "rotation"
        assert redacted_value(left) == left


@pytest.mark.parametrize(
    "told",
    [
        "password: [hunter2x9",
        "password: [hunter2x9]",
        "passwords=hunter2x9",
        "PASSWORD2=hunter2x9",
        "user_pw: hunter2x9",
        "smtp_pass=hunter2x9",
        'the api_keys are {"api_keys": ["hunter2x9"]}',
        '{"passwords": ["abc1234", "hunter2x9"]}',
        '{\\"secret_key\\": \\"hunter2x9\\"}',
        "pass\u200bword: hunter2x9",
        '[{"name": "Authorization", "value": "hunter2x9"}]',
        '{"key":"DB_PASSWORD","in":"header","value":"hunter2x9"}',
        '{\\"name\\": \\"X-Api-Key\\", \\"value\\": \\"hunter2x9\\"}',
        "- name: DB_PASSWORD\n  value: hunter2x9",
        "mysql --db-password hunter2x9 -h x",
        "<password>hunter2x9</password>",
        "smtp.pass=hunter2x9",
        "Authorization: hunter2x9",
        "my passwords are hunter2x9",
        "mysqldump -u root -phunter2x9 -h db shop",
        "curl -s -u ada:hunter2x9 https://example.org",
        "curl --user 'ada:hunter2x9' https://example.org",
        "| user | ada | password | hunter2x9 |",
        "user,ada\npassword,hunter2x9\n",
        "password_hint: hunter2x9",
        "password_reset=hunter2x9",
        "token_field: hunter2x9",
        "secret_rule: hunter2x9",
        "password_changed: hunter2x9",
    ],
)
def test_a_text_tells_it_as_a_field_does(told: str) -> None:
    left = redacted(told)
    assert SECRET not in left
    assert "[SECRET]" in left
    assert redacted(left) == left


@pytest.mark.parametrize(
    "told",
    [
        {"name": "Authorization", "value": f"Bearer {SECRET}"},
        {"name": "authorization", "value": SECRET},
        {"key": "password", "value": SECRET},
        {"name": "DB_PASSWORD", "value": SECRET, "enabled": True},
        {"name": "api_key", "in": "query", "example": SECRET},
        {"name": "api_key", "in": "query", "schema": {"type": "string", "example": SECRET}},
        {"key": "client_secret", "value": {"stringValue": SECRET}},
        {"Key": "Password", "Value": SECRET},
        {"ParameterKey": "DBPassword", "ParameterValue": SECRET},
        {"name": "cookie", "values": [SECRET]},
        [["Host", "example.org"], ["X-Api-Key", SECRET]],
    ],
)
def test_a_sibling_tells_what_a_value_is(told: Any) -> None:
    left = redacted_value({"list": [told]})
    assert SECRET not in str(left)
    assert redacted_value(left) == left


def test_a_sibling_tells_of_numbers_of_persons_and_what_is_beside_stays() -> None:
    told = [{"name": "ssn", "value": 123456789}, {"key": "phone", "value": "030 12"}, ["password", "name"]]
    assert redacted_value(told) == [
        {"name": "ssn", "value": "[SSN]"},
        {"key": "phone", "value": "[PHONE]"},
        ["password", "name"],
    ]
    headers = [
        {"name": "Content-Type", "value": "text/html"},
        {"name": "reset_password", "arguments": {"n": 1}},
    ]
    assert redacted_value(headers) == headers


def test_numbers_are_looked_at_as_texts_are() -> None:
    told = redacted_value(
        {
            "phone": [2025550123],
            "mobiles": {"home": 2025550123},
            "fax": 2025550123.0,
            "ssns": [123456789],
            "cards": [4111111111111111, 4111111111111111.0],
            "phone2": "030 12",
        }
    )
    assert told == {
        "phone": ["[PHONE]"],
        "mobiles": {"home": "[PHONE]"},
        "fax": "[PHONE]",
        "ssns": ["[SSN]"],
        "cards": ["[CARD]", "[CARD]"],
        "phone2": "[PHONE]",
    }


@pytest.mark.parametrize(
    ("told", "left"),
    [
        ("card {}\u3000{}\u3000{}\u3000{}".format(wide("4111"), *[wide("1111")] * 3), "[CARD]"),
        ("card 4111\u200b1111\u200b1111\u200b1111", "[CARD]"),
        ("card ٤١١١١١١١١١١١١١١١", "[CARD]"),
        (f"write to ada{wide('@')}example{wide('.')}org", "[EMAIL]"),
        ("write to ada\u200b.lovelace@exam\u2060ple.org", "[EMAIL]"),
        ("ssn 536\u201190\u20114399", "[SSN]"),
        ("SSN 123456789", "[SSN]"),
        ("ssn: 123 45 6789", "[SSN]"),
        ('{"ssn": "123456789"}', "[SSN]"),
        ('{"phone": [2025550123]}', "[PHONE]"),
        ('{"date_of_birth": "1815-12-10"}', "[DATE_OF_BIRTH]"),
        ('{"passport_number":"X1234567"}', "[PASSPORT]"),
        ("GB82\u00a0WEST\u00a01234\u00a05698\u00a07654\u00a032", "[IBAN]"),
    ],
)
def test_no_other_form_of_a_character_hides_anything(told: str, left: str) -> None:
    done = redacted(told)
    assert left in done
    assert not any(one.isdigit() for one in done)
    assert "lovelace" not in done
    assert redacted(done) == done


@pytest.mark.parametrize(
    "told",
    [
        {"max_tokens": 128000, "total_tokens": 65536, "tokens": [1, 2], "token_count": 70000},
        {"time_to_first_token": 0.31, "price_per_token": 0.000003},
        {"pass": 12, "fail": 3, "secrets": 4, "passed": True, "password_min_length": 12, "bypass": "Ring 3"},
        {"order": 48213077, "order_number": "4821307755", "price": 1249.9, "amount": 123456789012.5},
        {"at": 1764000000, "at_ms": 1764000000123, "at_ns": 1764000000123456789, "offset": 1764000000.123},
        {"id": "f47ac10b-58cc-4372-a567-0e02b2c3d479", "version": "1.25.0", "key": "colour", "value": "red"},
        {
            "primary_key": "id",
            "sort_key": "name",
            "cache_key": "a:1",
            "monkey": "kong 12",
            "keys": ["a1", "b2"],
        },
        {
            "microphone": "Model 3",
            "mobile": {"visits": 12000},
            "cell": "B12",
            "name": "total_tokens",
            "value": 9,
        },
        {"page_token": "CAUQAA12", "nextPageToken": "CAUQAA12", "token_type": "bearer"},
        {"edges": [["plan", "act"], ["act", "plan"]], "passage": "12-17", "compass": "N 42"},
    ],
)
def test_what_names_no_secret_hides_nothing(told: dict[str, Any]) -> None:
    assert redacted_value(told) == told


@pytest.mark.parametrize(
    "told",
    [
        "max_tokens=128000, total_tokens: 65536 and tokens=12345 of 200000",
        "Order 4821307755 of 12 March: 1,249.90 EUR, article 0815-4711, 3 pieces at 416.63.",
        '{"name": "colour", "value": "red"} and {"key": "order_number", "value": "4821307755"}',
        '{"name": "token_count", "value": "70000"}',
        "name: web\nvalue: 12 passes, 3 passwords in all",
        "At 1764000000123 (2026-11-28T10:45:10Z), v1.25.0, build 20261128.4, PASS: test_a",
        "The café\u2019s “menu” \u2013 12…15 dishes, ½ price, 10 µs, № 7 and 👩\u200d👩\u200d👧",
        f"列車は{wide('12')}時{wide('30')}分に出発します。料金は{wide('1,200')}円です。",
        "password > 8 characters, authorization: required, use --password to log in and --token-count 70000",
        "the SSN is nine digits long, and a key: value pair",
        "token_type: bearer, token_expires_in: 3600, password_changed_at: 2026-11-28, token_url=https://x/y",
        "page_token: CAUQAA12, nextPageToken=CAUQAA12, next token: CAUQAA12",
        "password: required, credentials: valid; to reset your password: click here",
        'password = getpass(), token = os.environ["TOKEN"], secret = vault.read("secret/x")',
        "| password | email |\n| token | meaning |\npassword,email",
        "mysql -p, curl -u https://example.org, gpio pin: 12, error code: 40421, zip code: 48211",
    ],
)
def test_what_is_told_of_other_things_stays(told: str) -> None:
    assert redacted(told) == told


@pytest.mark.parametrize(
    "secret",
    ["correct horse battery", "ab,cdefgh9", "hun;ter&2x9", "a<b9cdef", r"hun\"ter2x9", r"hun\\ter2x9"],
)
def test_a_secret_in_quotes_is_hidden_up_to_its_end(secret: str) -> None:
    told = f'{{"password": "{secret}", "name": "web"}}'
    assert redacted(told) == '{"password": "[SECRET]", "name": "web"}'
    assert redacted(f"password='{secret}'; go") == "password='[SECRET]'; go"


@pytest.mark.parametrize("nothing", ["null", "true", "false"])
def test_where_no_secret_stands_json_stays_json(nothing: str) -> None:
    told = f'{{"api_key": {nothing}}}'
    assert redacted(told) == told


@pytest.mark.parametrize(
    "told", ["PIN: {}", "otp={}", "The OTP is {}", "cvv: {}", "Your verification code: {}"]
)
def test_a_number_that_opens_something_is_hidden(told: str) -> None:
    assert redacted(told.format(482113)) == told.format("[SECRET]")


def test_a_number_in_the_place_of_a_secret_leaves_json_whole() -> None:
    assert redacted('{"api_key":12345678}') == '{"api_key":[SECRET]}'


def test_around_a_hidden_finding_all_else_stays() -> None:
    told = "“Café” \u2013 12…15, 👩\u200d👧: ada@example.org"
    assert redacted(told) == told.replace("ada@example.org", "[EMAIL]")
