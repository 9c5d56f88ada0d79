"""Detectors of what belongs to persons: addresses, numbers of accounts, cards, phones and papers.

Source: the pattern recognisers of Microsoft Presidio name the kinds; each format has its own source.
"""

import re
from ipaddress import ip_address
from string import ascii_uppercase
from typing import Final

from observability.detecting import Detector

_IBAN_LENGTHS: Final = {
    country: int(length)
    for country, length in re.findall(
        r"([A-Z]{2})(\d\d)",
        "AD24AE23AL28AT20AZ28BA20BE16BG22BH22BR29BY28CH21CR22CY28CZ24DE22DK18DO28EE20EG29ES24FI18FO18FR27GB22"
        "GE22GI23GL18GR27GT28HR21HU28IE22IL23IQ23IS26IT27JO30KW30KZ20LB28LC32LI21LT20LU20LV21LY25MC27MD24ME22"
        "MK19MR27MT31MU30NL18NO15PK24PL28PS29PT25QA29RO24RS22SA24SC31SE24SI19SK24SM27ST25SV28TL23TN24TR26UA29"
        "VA22VG24XK20",
    )
}
"""Source: SWIFT, IBAN Registry (ISO 13616)."""
_CARDS: Final = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})|(?:5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720)\d+|3[47]\d{13}"
    r"|3(?:0[0-5]|[689])\d+|35\d{14}|6(?:011|4[4-9]|5)\d+|62\d{14,17}|(?:5[06-9]|6)\d{11,18}"
)
"""Source: the ranges of Visa, Mastercard, American Express, Diners Club, JCB, Discover, UnionPay, Maestro."""
_SHORTEST_ADDRESS: Final = 6
_HIGHEST: Final = 255
"""In a part of an address of version 4."""
_FEWEST_DIGITS: Final = 7
"""Of a telephone number, or a number that a state gives."""
_CODES: Final = re.compile(
    r"\+1(?=[ ./-])|(?:\+|00)(?:1(?=[ ./-]{0,2}\(?[2-9](?:[) ./-]{0,3}\d){9})|7"
    r"|2(?:[07]|1[1-368]|[2-6]\d|9[017-9])"
    r"|3(?:[0-469]|[578]\d)|4(?:[013-9]|2[013])|5(?:[1-8]|[09]\d)|6(?:[0-6]|[7-9]\d)|8(?:[1246]|[0578]\d)|9(?:[0-58]|[679]\d))"
)
"""Source: ITU-T, list of country codes assigned by E.164; the numbers behind 1 have ten digits."""
_DOUBLED: Final = str.maketrans("0123456789", "0246813579")
"""Digits, and the sums of the digits of their doubles."""
_NO_SEPARATORS: Final = str.maketrans("", "", " ._-")
_NUMBERS: Final = str.maketrans({letter: str(number) for number, letter in enumerate(ascii_uppercase, 10)})
_CARD_LENGTHS: Final = (19, 18, 17, 16, 15, 14, 13)
_DATE = (
    r"(?:\d{1,4}[./-]\d{1,2}[./-]\d{1,4}|\d{1,2}(?:\.|st|nd|rd|th)? (?:of )?[A-Za-z]{3,9}\.?,? \d{4}"
    r"|[A-Za-z]{3,9}\.? \d{1,2}(?:st|nd|rd|th)?,? \d{4})"
)
_NUMBERED = r"s?(?:[\s_-]?(?:no\.?|nr\.?|number|num|id|#)s?)?\\?[\"']?(?:\s?[:=#]|\sis)?\s?\[?\\?[\"']?"


def _digits_end(found: str, many: int) -> int:
    """Return where so many letters and digits end, of a text with separators."""
    for place, character in enumerate(found, 1):
        many -= character.isalnum()
        if not many:
            return place
    return 0


def _card(found: str) -> int:
    digits = found.translate(_NO_SEPARATORS)
    for length in _CARD_LENGTHS:
        if length <= len(digits) and _CARDS.fullmatch(digits, 0, length) and not _luhn(digits[:length]):
            end = _digits_end(found, length)
            if not found[end : end + 1].isdigit():
                return end
    return 0


def _luhn(digits: str) -> int:
    """Return the remainder that a right check digit makes 0. Source: ISO/IEC 7812-1, annex B."""
    doubled = digits[-2::-2].translate(_DOUBLED)
    return (sum(digits[-1::-2].encode()) + sum(doubled.encode()) - ord("0") * len(digits)) % 10


def _iban(found: str) -> int:
    length = _IBAN_LENGTHS.get(found[:2].upper(), 0)
    letters = found.translate(_NO_SEPARATORS).upper() if length else ""
    if not letters or len(letters) < length:
        return 0
    number = (letters[4:length] + letters[:4]).translate(_NUMBERS)
    return _digits_end(found, length) if int(number) % 97 == 1 else 0


def _address_4(found: str) -> int:
    """Check that it is an address of version 4, and not one that every machine calls itself."""
    parts = found.split(".")
    if any(len(one) > 1 and one[0] == "0" for one in parts) or max(map(int, parts)) > _HIGHEST:
        return 0
    return 0 if parts[0] == "127" or not any(map(int, parts)) else len(found)


def _address_6(found: str) -> int:
    """Check the same of version 6."""
    if len(found) < _SHORTEST_ADDRESS or not any(one.isdigit() for one in found):
        return 0
    try:
        address = ip_address(found)
    except ValueError:
        return 0
    return 0 if address.is_loopback or address.is_unspecified else len(found)


def _called(found: str) -> int:
    """Check that a telephone number begins with the code of a country."""
    return _many_digits(found) if _CODES.match(found) else 0


def _many_digits(found: str) -> int:
    return len(found) if sum(one.isdigit() for one in found) >= _FEWEST_DIGITS else 0


PRIVATE: Final = (
    # Source: RFC 5321 and RFC 6531; %40 stands for the @ in addresses of the web (RFC 3986).
    # What is no address: where code is fetched from, and a version of it.
    Detector(
        "EMAIL",
        r"(?<![\w.+-])(?!git@[\w.-]{1,253}[:/])[\w.+-]++(?:@|%40)(?!v?\d{1,5}\.\d)[\w-]++(?:\.[\w-]++)++",
        ("@", "%40"),
    ),
    Detector("IBAN", r"[A-Za-z](?<![A-Za-z0-9].)[A-Za-z]\d{2}(?:[ -]?[A-Za-z0-9]){11,28}+", check=_iban),
    # Source: ISO/IEC 7812; the groups as they are printed on cards.
    Detector(
        "CARD",
        r"[2-6](?<!\w\d)(?<!\d\.\d)(?<![0-9A-Fa-f]-\d)(?:\d{3}[ ._-]\d{4}[ ._-]\d{4}[ ._-]\d{1,7}"
        r"|\d{3}[ ._-]\d{6}[ -]\d{4,5}|\d{12,18})(?!\d)",
        check=_card,
    ),
    # Source: US Social Security Administration, "Social Security Number Randomization".
    Detector("SSN", r"[0-8](?<![\w-]\d)\d\d(?<!000)(?<!666)([ -])(?!00)\d{2}\1(?!0000)\d{4}(?![\w-])"),
    Detector(
        "SSN",
        rf"(?i)(?<![a-z])(?:ssn|social security){_NUMBERED}(?P<value>\d{{3}}[ -]?\d{{2}}[ -]?\d{{4}}(?!\d))",
        ("ssn", "social security"),
    ),
    # Source: HM Revenue & Customs, NIM39110.
    Detector(
        "NATIONAL_ID",
        r"[A-CEGHJ-PR-TW-Z](?<!\w.)[A-CEGHJ-NPR-TW-Z] ?\d{2} ?\d{2} ?\d{2} ?[A-D](?!\w)",
    ),
    Detector(
        "NATIONAL_ID",
        r"(?i)(?<!\w)(?:national id|aadhaar|tax id|steuer-?id|nhs|social security"
        r"|insurance(?!\W{0,3}\d{1,8} [a-z]{4})|personal id)"
        + _NUMBERED
        + r"(?P<value>(?=[A-Z /-]{0,12}\d)[A-Z0-9](?:[ /-]?[A-Z0-9]){5,19}+)",
        ("national id", "aadhaar", "tax id", "steuer", "nhs", "social security", "insurance", "personal id"),
        _many_digits,
    ),
    # Source: ICAO Doc 9303 (nine characters).
    Detector(
        "PASSPORT",
        r"(?i)(?<!\w)passport" + _NUMBERED + r"(?P<value>(?=[A-Z]{0,3}\d)[A-Z0-9]{6,9}+)(?!\w)",
        ("passport",),
    ),
    Detector(
        "DRIVING_LICENCE",
        r"(?i)(?<!\w)(?:driving|driver'?s?) licen[cs]e"
        + _NUMBERED
        + r"(?P<value>(?=[A-Z-]{0,9}\d)[A-Z0-9-]{5,20}+)",
        ("licence", "license"),
    ),
    Detector(
        "DATE_OF_BIRTH",
        r"(?i)(?<![a-z0-9])(?:born|geboren|birth[ _-]?(?:day|date)|date[ _-]of[ _-]birth|d\.?o\.?b\.?)"
        r"\\?[\"']?(?:\s?[:=]|\s(?:is|on|in|am))*+\s?\\?[\"']?(?P<value>" + _DATE + ")",
        ("born", "geboren", "birth", "dob", "d.o.b"),
    ),
    Detector(
        "MAC_ADDRESS",
        r"[0-9A-Fa-f](?<![\w:-].)[0-9A-Fa-f](?:([:-])[0-9A-Fa-f]{2})(?:\1[0-9A-Fa-f]{2}){4}(?![\w:-])",
    ),
    Detector(
        "IP_ADDRESS",
        r"\d(?<![\w.§]\d)(?=\d{0,2}\.\d)(?<![Vv]ersion[ =:]\d)(?<!ersion: \d)(?<!ersion\": \"\d)"
        r"(?<!ersion\":\"\d)(?<![Ss]ection \d)(?<![=~<>]=\d)\d{0,2}(?:\.\d{1,3}){3}(?!\w|\.\d)",
        check=_address_4,
    ),
    Detector(
        "IP_ADDRESS",
        r"(?<![\w:.])(?=[0-9A-Fa-f]{0,4}:[0-9A-Fa-f]{0,4}:)[0-9A-Fa-f:]{2,39}+(?!\w)",
        (":",),
        _address_6,
    ),
    # Source: ITU-T E.164 (15 digits at most), written as E.123 has it or with other separators.
    Detector(
        "PHONE",
        r"[+0](?<![\w+].)(?:(?<=\+)|0(?=[1-9]))\d{1,3}(?:[ ./-]?\(\d{1,5}\))?(?:[ ./-]{0,2}\d){5,13}+",
        ("+", "00"),
        _called,
    ),
    # Source: North American Numbering Plan.
    Detector(
        "PHONE",
        r"[(1-9](?<![\w.-].)(?:(?<=1)[-. ]\(?[2-9]\d{2}\)?[-. ]"
        r"|(?<=\()[2-9]\d{2}\) ?|(?<![(1])\d{2}[-. ])[2-9]\d{2}[-. ]\d{4}(?![\w-])",
    ),
    Detector(
        "PHONE",
        r"(?i)(?<![a-z0-9])(?:tel|telephone|phone|mobile|cell|fax|handy|telefon|call me|whatsapp)"
        + _NUMBERED
        + r"(?:at |on )?(?P<value>\(?\d(?:[ ()./-]{0,2}\d){5,14}+)",
        ("tel", "phone", "mobile", "cell", "fax", "handy", "call me", "whatsapp"),
    ),
    # Source: BIP 173 and BIP 350 (segregated witness); EIP-55.
    Detector("WALLET", r"(?<!\w)(?:bc1[ac-hj-np-z02-9]{25,87}|0x[0-9A-Fa-f]{40})(?!\w)", ("bc1", "0x")),
    Detector(
        "STREET_ADDRESS",
        r"\d(?<!\w\d)(?<![Ii]n \d)\d{0,4}[A-Za-z]? (?:[A-Z][\w'.]{0,24} ){1,3}"
        r"(?:Street|St|Avenue|Ave|Road|Rd|Lane|Ln|Drive|Boulevard|Blvd|Court|Square|Terrace|Way)(?!\w)",
        ("st", "ave", "r", "lane", "ln", "way", "court", "terrace", "square"),
    ),
)
"""In the order in which they look."""
