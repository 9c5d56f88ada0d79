"""Secrets are found in the forms in which files, commands, code and people write them; code stays code."""

import pytest

from observability.redactor import redacted

SECRET = "hunter2x9"  # noqa: S105 - of nobody


@pytest.mark.parametrize(
    "told",
    [
        "the password is: hunter2x9",
        "password: |\n  hunter2x9\n  and hunter2x9\nuser: ada",
        "db:\n  password: >-\n    hunter2x9\n  user: ada",
        "machine api.example.org login ada password hunter2x9",
        "machine api.example.org\n  login ada\n  password hunter2x9\n",
        "default login ada password hunter2x9",
        "FROM scratch\nENV DB_PASSWORD hunter2x9\nUSER ada",
        "setx API_TOKEN hunter2x9",
        "requirepass hunter2x9",
        "alter user ada with password 'hunter2x9'",
        "CREATE ROLE ada LOGIN PASSWORD 'hunter2x9';",
        "create user ada IDENTIFIED BY 'hunter2x9'",
        'os.environ["DB_PASSWORD"] = "hunter2x9"',
        "config['token'] = 'hunter2x9'",
        "define('DB_PASSWORD', 'hunter2x9');",
        'os.environ.setdefault("DB_PASSWORD", "hunter2x9")',
        '{"password":{"value":"hunter2x9"}}',
        '{\\"token\\": {\\"name\\": \\"a\\", \\"value\\": \\"hunter2x9\\"}}',
        "{'password': b'hunter2x9'}",
        "docker login -u ada -p hunter2x9 registry -p 3306",
        "auth_token: token hunter2x9",
        "sshpass -p hunter2x9 ssh example.org",
        "redis-cli -h db -a hunter2x9 ping",
        'variable "db_password" {\n  type    = string\n  default = "hunter2x9"\n}',
        "DD-APPLICATION-KEY: hunter2x9",
        "Authorization: ApiKey ada:hunter2x9",
        'Authorization: Digest username="ada", nonce="1", response="hunter2x9"',
        "Authorization: AWS4-HMAC-SHA256 Credential=AKID/20130524/s3, Signature=hunter2x9",
        '{"Authorization": "Digest username=\\"ada\\", response=\\"hunter2x9\\"", "Accept": "text/html"}',
    ],
)
def test_a_secret_is_hidden_in_each_form(told: str) -> None:
    left = redacted(told)
    assert SECRET not in left
    assert "[SECRET]" in left
    assert redacted(left) == left


@pytest.mark.parametrize("kept", ["user: ada", "Private: no"])
def test_a_block_of_yaml_ends_where_its_lines_do(kept: str) -> None:
    told = f"password: |\n  hunter2x9\n\n  line two\n{kept}\n"
    assert redacted(told) == f"password: |\n  [SECRET]\n{kept}\n"


def test_around_a_header_all_else_stays() -> None:
    told = '{"Authorization": "Digest username=\\"a\\", response=\\"0f1e\\"", "Accept": "text/html"}'
    assert redacted(told).endswith(', "Accept": "text/html"}')


@pytest.mark.parametrize("code", ["0123456789abcdef" * 2, "Qx7Kq9mZp2LwT4vBn8RsD1fG"])
def test_a_long_code_behind_the_name_of_a_secret_is_one(code: str) -> None:
    assert redacted(f"auth token {code} of ada") == "auth token [SECRET] of ada"


@pytest.mark.parametrize(
    ("told", "left"),
    [
        ("Your verification code is 482913", "Your verification code is [SECRET]"),
        ("Your login code is: 482913.", "Your login code is: [SECRET]."),
        ("482913 is your login code", "[SECRET] is your login code"),
        ("exp 12/26 cvv 123", "exp 12/26 cvv [SECRET]"),
        ("born on May 17th, 1990", "born on [DATE_OF_BIRTH]"),
        ("Born 2nd of March 1990", "Born [DATE_OF_BIRTH]"),
        ("geboren am 17.05.1990", "geboren am [DATE_OF_BIRTH]"),
        ("postgres://u:hun@ter2x9@h/d", "postgres://[CREDENTIALS]@h/d"),
        ("https://user:p@ss:word@host/x", "https://[CREDENTIALS]@host/x"),
        ("postgres://u:h<n>ter2x9@h/d", "postgres://[CREDENTIALS]@h/d"),
        ("https://user:pa/ss@host/x", "https://[CREDENTIALS]@host/x"),
        ("amqp://a:b1@h1/x,amqp://a:b2@h2/x", "amqp://[CREDENTIALS]@h1/x,amqp://[CREDENTIALS]@h2/x"),
    ],
)
def test_all_of_it_is_hidden_and_nothing_else(told: str, left: str) -> None:
    assert redacted(told) == left
    assert redacted(left) == left


@pytest.mark.parametrize(
    "told",
    [
        "self.token = token",
        'cache["raw_password"] = stored_password; styles[token] = style',
        "token: Token\n    kind: TokenKind",
        "self.token = token if token else None\ntoken = token or read()",
        "f(secret_client=secret_client, id_token_hint=id_token_hint), token = token[1]",
        "def of(name: bytes, password: bytes) -> None, invalid session id: {session_id_param}",
        "score=0.2662102282047272, see §7.3.4.2",
        "def login(user: str, password: SecretStr, key: str) -> Token: ...",
        "api_key=settings.openai_api_key",
        "secret_key = config.secret_key",
        "connect(user=user, password=db_password)",
        "const token = await getToken();",
        'if not password: raise ValueError("password required")',
        "token = read_token(path), password = hash_of(password, salt)",
        "password: Optional[str] = None",
        '<label for="password">Password:</label>',
        "password: ${DB_PASSWORD}, token: $(cat /run/secrets/token)",
        "password: ********",
        "Unexpected token: identifier",
        "Unexpected token 'export', unexpected token: name",
        'secret "db-credentials" not found, wrong password "required"',
        'getpass("Password: "), input("password", "Your password")',
        '{"password": {"type": "string", "description": "At least 12 characters"}}',
        "ENV PATH /usr/local/bin:/usr/bin",
        "the machine login needs a password today",
        "users who login with password authentication",
        "access token expired, session id missing, primary key 0123456789abcdef0123456789abcdef",
        "npm install react@18.2.0 foo@1.2.3-rc.1 pkg:npm/%40angular/core@12.3.4",
        "git clone git@github.com:owner/repo.git and ssh://git@example.org/owner/repo",
        "Version 1.2.3.4, version: 10.0.0.1 and section 1.2.3.4 of it, pkg==1.2.3.4",
        '{"version": "1.2.3.4"}',
        "from -2147483648 to +2147483647",
        "003 010 015 020 and 00123456789",
        "In 2023 The Great Way was built",
        "insurance: 1234567 customers",
        "file://C:/People/ada@work/x, jdbc:sqlserver://db:1433;user=ada@work",
        "http://localhost:8080/ada@work and https://example.org:443/@scope/name",
        "verification code is missing, error code is 40421, cvv is asked",
        "Authorization: Digest is old",
    ],
)
def test_code_and_prose_stay(told: str) -> None:
    assert redacted(told) == told


@pytest.mark.parametrize(
    ("told", "kind"),
    [
        ("host 1.2.3.4 runs version 3", "IP_ADDRESS"),
        ("call +1 415 555 2671", "PHONE"),
        ("call 0049 30 901820", "PHONE"),
        ("write to git@example.org", "EMAIL"),
        ("write to ada@163.com", "EMAIL"),
        ("call 1-800-555-2671", "PHONE"),
        ("card 4111.1111.1111.1111", "CARD"),
        ("card 4111_1111_1111_1111", "CARD"),
        ("insurance number 1234567", "NATIONAL_ID"),
        ("insurance: 65 110839 J 003", "NATIONAL_ID"),
        ("lives at 5 The Terrace", "STREET_ADDRESS"),
    ],
)
def test_what_looks_alike_is_still_found(told: str, kind: str) -> None:
    assert f"[{kind}]" in redacted(told)
