"""Keys are known by the beginnings that their issuers gave them, and by nothing else."""

import pytest

from observability.redactor import redacted

HEX = "0123456789abcdef"
MIXED = "Qx7Kq9mZp2LwT4vBn8RsD1fGh6JyC3aQe5UiO0Wb"
SMALL = "q4xk9mzp2lwt7vbn8rsd1fgh6jyc3aqe5uio0wbk"
HOOK = "0123abcd-0123-4abc-8abc-0123456789ab"
KEYS = (
    ("dckr_pat_", MIXED[:27]),
    ("dckr_oat_", MIXED[:32]),
    ("HRKU-AA", MIXED + MIXED[:18]),
    ("key-", HEX * 2),
    ("NRII-", MIXED[:32]),
    ("", f"eu01xx{HEX}{HEX[:14]}NRAL"),
    ("figd_", MIXED),
    ("pat", f"{MIXED[:14]}.{HEX * 4}"),
    ("1/", f"{'12' * 8}:{HEX * 2}"),
    ("fw_", MIXED[:24]),
    ("nvapi-", f"{MIXED[:30]}-{MIXED[:33]}"),
    ("csk-", SMALL + SMALL[:8]),
    ("jina_", MIXED + MIXED[:20]),
    ("pa-", f"{MIXED[:20]}-{MIXED[:22]}"),
    ("tgp_v1_", f"{MIXED[:20]}-{MIXED[:22]}"),
    ("bkua_", SMALL),
    ("CCIPAT_", f"{MIXED[:22]}_{HEX * 2}{HEX[:8]}"),
    ("", f"{MIXED[:14]}.atlasv1.{MIXED}{MIXED[:27]}"),
    ("pul-", HEX * 2 + HEX[:8]),
    ("rubygems_", HEX * 3),
    ("pat-na1-", HOOK),
    ("squ_", HEX * 2 + HEX[:8]),
    ("sqp_", HEX * 2 + HEX[:8]),
    ("tskey-auth-", f"{MIXED[:12]}-{MIXED[:26]}"),
    ("fm2_", MIXED * 3),
    ("fo1_", MIXED + MIXED[:3]),
    ("ABSK", MIXED * 3),
    ("AKCp", MIXED + MIXED[:29]),
    ("GR1348941", MIXED[:20]),
    ("aio_", MIXED[:28]),
    ("EAAC", MIXED * 3),
    ("access_token$", f"production${HEX}${HEX * 2}"),
    ("https://discord.com/api/webhooks/", f"{'123456' * 3}/{MIXED}{MIXED[:28]}"),
    ("https://acme.webhook.office.com/webhookb2/", f"{HOOK}@{HOOK}/IncomingWebhook/{HEX * 2}/{HOOK}"),
    ("https://outlook.office.com/webhook/", f"{HOOK}@{HOOK}/IncomingWebhook/{HEX * 2}/{HOOK}"),
)
"""Where each begins, and what follows; put together here, so that no search for keys takes them for some."""


@pytest.mark.parametrize(("beginning", "rest"), KEYS)
def test_a_key_is_known_by_its_beginning_wherever_it_stands(beginning: str, rest: str) -> None:
    key = beginning + rest
    for told in (f"take {key}, please", f'{{"a":"{key}"}}', f"one:\\n{key}\\ntwo"):
        left = redacted(told)
        assert "[API_KEY]" in left
        assert rest[-12:] not in left
        assert redacted(left) == left


def test_the_key_of_an_organisation_behind_its_scheme_is_a_token() -> None:
    assert redacted(f"Okta takes SSWS 00{MIXED}") == "Okta takes SSWS [TOKEN]"


def test_the_lines_of_a_key_of_putty_are_hidden() -> None:
    told = f"PuTTY-User-Key-File-3: ssh-ed25519\nPrivate-Lines: 2\n{MIXED}\n{SMALL}\nPrivate-MAC: 12"
    left = redacted(told)
    assert left.startswith("PuTTY-User-Key-File-3: ssh-ed25519\nPrivate-Lines: 2\n[PRIVATE_KEY]")
    assert left.endswith("Private-MAC: 12")
    assert MIXED not in left + redacted(told.replace("\n", "\\n"))


@pytest.mark.parametrize(
    "told",
    [
        f"cache-key-{HEX * 2}",
        "the key-value store, a pat-down, pa-per and pul-ley",
        f"my-pa-{SMALL}",
        "pa-" + "one-long-name-of-a-page-in-small-letters-only",
        "1/2 and 2/3 of https://example.org/1/2026:all",
        "fw_update_firmware_now, csk-test, nvapi-docs, jina_embeddings, figd_file, aio_server",
        "discord.com/api/webhooks/ and outlook.office.com/webhook/help",
        "docker login -u ada, tskey-auth, HRKU, FlyV1, AKCp, ABSK and NRAL are words",
    ],
)
def test_what_only_begins_like_a_key_stays(told: str) -> None:
    assert redacted(told) == told
