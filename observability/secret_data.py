"""Detectors of secrets: keys by the beginnings that their issuers gave them, and what is named a secret.

There is no rule by randomness: such rules take words and names for secrets.
"""

import re
from typing import Final

from observability.detecting import Detector, Issued
from observability.issued_keys import KEYS
from observability.secret_names import ABOUT, NAMES, NEEDLES

_IS = r"\\?[\"']?\s{0,4}(?:[:=]|=>|:=|>(?=\S))\s{0,4}"
_REST = rf"(?![a-z0-9])(?!{ABOUT})(?:[_.-][a-z0-9]{{1,24}}){{0,3}}+"
"""What may be behind the name of a secret in a longer name."""
_NAMED_SO = rf"(?P<name>{NAMES}{_REST})(?:(?P<item>\\?[\"']\])\s{{0,4}}[:=]\s{{0,4}}|{_IS})"
_WORD = r"[^\s\"'&;,<>\\]{4,512}+"
_END = r"(?:[\s\"'`,;:.)}\]&\\|<]|\Z)"
_NO_VALUE = (
    r"(?!(?:null|none|true|false|required|optional|missing|empty|valid|invalid|wrong|incorrect|expired|changed"
    r"|reset|click|str|string|text|bytes|bool|float|final|secretstr|await|raise|return|lambda|yield|async|throw|undefined"
    rf"|\*{{4,64}}|\$?\{{[a-z0-9_.]{{1,60}}\}}){_END}"
    r"|[a-z_]{2,40}(?:\.[a-z_]{1,40}){0,4}(?:\((?:\)|[a-z_][a-z0-9_.]{0,60}[,)])|[(\[]\\?[\"'])"
    r"|(?:optional|required|union|annotated|list|dict|literal)\[|\$\(|\([a-z]{2,20}\s)"
)
"""What is said of a secret, or the code or the place that it comes from."""
_NO_VARIABLE = (
    rf"(?!(?:(?:[a-z_][a-z0-9_]{{0,40}}\.){{1,5}}+[a-z_]{{0,40}}?{NAMES}|(?P=name)){_END}|(?P=name)\["
    r"|[a-z_]{1,40}_(?P=name)[,)}\]])"
)
"""A variable or a type that is called as what it is assigned to."""
_IN_QUOTES = r"(?=[^\s\"',;:)}\]])(?:(?!(?P=quote))(?:\\[^\r\n]|[^\\\r\n])){4,512}+"
"""All of it, whatever stands in it."""
_PARAMETER = r"[\w-]{1,40}=(?:\\?\"[^\"\\\r\n]{0,1024}+\\?\"|[^\s,\"'\\]{0,1024}+)"
_SENT_CODE = (
    r"(?:(?:verification|security|access|one-time|login|sign-in|authentication|confirmation) (?:code|pin)"
    r"|passcode|otp(?<![a-z0-9]otp))"
)
_BESIDE = (
    r"[\s,]{0,40}(?:\\?[\"']\w{1,24}\\?[\"']\s{0,4}:\s{0,4}(?:\\?[\"'][^\"'\\]{0,80}\\?[\"']|true|false|null),"
    r"\s{0,40}){0,3}\\?[\"']?(?:parameter)?(?:value|default|example)s?"
)
"""What may stand between a name and the value that it names."""
_FINDING: Final = re.compile(r"\[{1,2}[A-Z_]+\]")


def _unless_found(value: str) -> int:
    """Return the length of a value, 0 if it stands in place of a finding."""
    return 0 if _FINDING.match(value) else len(value)


SECRETS: Final = (
    Detector(
        "PRIVATE_KEY",
        r"-----BEGIN [A-Z0-9 ]{0,40}?PRIVATE KEY(?: BLOCK)?-----(?:(?!-----END)[\s\S]){0,20000}+"
        r"(?:-----END [A-Z0-9 ]{0,40}?PRIVATE KEY(?: BLOCK)?-----)?+",
        ("private key",),
    ),
    # Source: PuTTY, appendix C: PPK file format.
    Detector(
        "PRIVATE_KEY",
        r"Private-Lines: \d{1,4}(?:\s|\\[rn]){1,4}"
        r"(?P<value>(?!\[)(?:[\w+/=]{1,256}+(?:(?:\\[rn]|[\r\n]){1,4}+|(?=[\"'])|\Z)){1,500}+)",
        ("private-lines:",),
    ),
    # Source: RFC 3986, section 3.2.1; what should be encoded in it is often not.
    Detector(
        "CREDENTIALS",
        r"://(?P<value>[^:@/\s\[\]\"']{0,128}+:(?!/|\d{1,5}[/?#;])"
        r"(?:[^/\s\[\]\"']{1,256}(?=@)|[^@\s\[\]\"']{1,256}+))@",
        ("://",),
    ),
    # Source: RFC 7519, section 3.1; both parts begin with a brace and a quote, in base64.
    Detector("JWT", r"(?<![\w-])eyJ[\w-]{5,}+\.[\w-]{5,}+(?:\.[\w-]*+){1,3}+", ("eyj",)),
    Issued("API_KEY", KEYS, r"(?:(?<![A-Za-z0-9])|(?<=\\[nrt]))"),
    # Source: RFC 6750 and RFC 7617.
    Detector(
        "TOKEN",
        r"(?i)(?<!\w)(?:bearer|basic|ssws)\s{1,4}(?P<value>(?=[A-Za-z._~+/-]{0,200}[0-9=])[A-Za-z0-9._~+/-]{8,}+=*+)",
        ("bearer", "basic", "ssws"),
    ),
    Detector("COOKIE", r"(?i)(?<!\w)cookie:\s?(?P<value>[^\r\n\[\"']{4,8192}+)", ("cookie:",)),
    Detector(
        "SECRET",
        rf"authorization{_IS}\\?[\"']?(?:[a-z][a-z0-9-]{{0,24}}\s{{1,4}}(?=[\w-]{{1,40}}=)"
        r"|(?:api-?key|dpop|hmac|negotiate|ntlm)\s{1,4}(?=[^\s\"',;\\]{1,200}:))"
        rf"(?P<value>{_PARAMETER}(?:,?\s{{0,2}}{_PARAMETER}){{0,20}}+"
        r"|[^\s\"',;\\]{4,512}+)",
        ("authorization",),
        in_small=True,
    ),
    Detector(
        "SECRET",
        rf"(?P<name>{NAMES}){_REST}\\?[\"']?:\s?[|>][+-]?\d?[ \t]*+\r?\n(?P<indent>[ \t]{{1,40}}+)"
        r"(?P<value>(?!\[{1,2}[a-z_]+\])[^\r\n]{1,2048}+"
        r"(?:(?:\r?\n[ \t]*+(?=\r?\n)){0,3}+\r?\n(?P=indent)[^\r\n]{0,2048}+){0,200}+)",
        (": |", ": >"),
        in_small=True,
    ),
    Detector(
        "SECRET",
        rf"{NAMES}(?![a-z0-9])(?!{ABOUT})\\?[\"']?\s{{0,4}}(?:[:=]>?\s{{0,4}})?\{{[^{{}}]{{0,300}}?(?<![a-z_])"
        rf"(?:stringvalue|value|default)\\?[\"']?\s{{0,4}}[:=]\s{{0,4}}\\?[\"'](?P<value>[^\"'\\\r\n]{{1,2048}}+)",
        ('value"', 'value\\"', "value'", "value =", 'default"', 'default\\"', "default =", "default="),
        _unless_found,
        in_small=True,
    ),
    Detector(
        "SECRET",
        r"(?:define|setdefault|putenv|setenv|getenv|environ\.get|(?<![a-z])env|setproperty|setitem)\(\s{0,4}"
        rf"\\?[\"'][\w.-]{{0,60}}?{NAMES}{_REST}\\?[\"']\s{{0,4}},\s{{0,4}}[bru]?\\?[\"']"
        rf"(?P<value>{_NO_VALUE}[^\"'\\\r\n]{{1,512}}+)",
        ("define(", "setdefault(", "env(", "environ.get(", "setproperty(", "setitem("),
        _unless_found,
        in_small=True,
    ),
    # Source: the manual page of netrc.
    Detector(
        "SECRET",
        r"(?:machine\s{1,8}\S{1,200}+|default)\s{1,8}login\s{1,8}\S{1,200}+\s{1,8}password\s{1,8}"
        r"(?P<value>\S{1,512}+)",
        ("login ",),
        _unless_found,
        in_small=True,
    ),
    Detector(
        "SECRET",
        rf"(?:(?:(?:(?<![^\n])|(?<=\\n))env|setenv|setx|set -g?x)[ \t]{{1,4}}"
        rf"[a-z0-9_.-]{{0,60}}?{NAMES}{_REST}|requirepass|masterauth)"
        r"[ \t]{1,4}[\"']?(?P<value>(?!=)[^\s\"'\\]{4,512}+)",
        ("env ", "setx ", "set -", "requirepass", "masterauth"),
        _unless_found,
        in_small=True,
    ),
    Detector(
        "SECRET",
        r"(?:password|pwd|identified\s(?:with\s\S{1,40}\s)?by)\s{1,4}(?:password\s)?"
        rf"(?P<quote>\\?[\"'`])(?P<value>{_NO_VALUE}[^\s\"'`\\]{{4,256}}+)(?P=quote)",
        ("password '", 'password "', "password \\", "pwd '", "by '", 'by "'),
        _unless_found,
        in_small=True,
    ),
    Detector(
        "SECRET",
        rf"(?:name|key|field|header|label){_IS}\\?[\"']?[\w .-]{{0,40}}?(?:{NAMES}|authorization|cookie)"
        rf"(?![\w.-])\\?[\"']?{_BESIDE}{_IS}(?:\[\\?(?=[\"']))?\\?[\"']?"
        rf"(?P<value>(?<=[\"'])[^\"'\\\r\n]{{1,2048}}+|{_WORD})",
        ("value", "default", "example"),
        _unless_found,
        in_small=True,
    ),
    Detector(
        "SECRET",
        rf"{_NAMED_SO}(?:[bru]?(?P<quote>\\?[\"'])(?={_IN_QUOTES}(?P=quote))"
        r"|(?:(?:bearer|basic|token(?= [^\s\d]{0,64}\d)) )?\\?[\"']?)"
        rf"(?P<value>(?(quote){_IN_QUOTES}|(?:\[[^\[\]{{}}]{{4,2048}}+\]"
        rf"|(?(item)(?!)){_NO_VALUE}{_NO_VARIABLE}(?:\d{{4,512}}(?=[\s,}}\]])|{_WORD}))))",
        NEEDLES,
        _unless_found,
        in_small=True,
    ),
    Detector(
        "SECRET",
        rf"(?:{NAMES}|pin(?<![a-z0-9]pin)|otp(?<![a-z0-9]otp))\s(?:(?:(?:is|are|was):?|:=?)\s[\"'`]?"
        r"|(?=(?=[a-z]{0,40}\d)(?=\d{0,40}[a-z])[a-z0-9]{20,512}+(?![\w-])))"
        r"(?P<value>(?=[^\s\d]{0,64}\d)[^\s\"'`,;]{4,256}+)",
        (*NEEDLES, "pin", "otp"),
        in_small=True,
    ),
    Detector(
        "SECRET",
        rf"(?:--(?<!---)(?!-)[a-z0-9-]{{0,40}}?{NAMES}\s|authorization{_IS}\\?[\"']?"
        r"(?:aws4-[a-z0-9-]{1,20}\s|[a-z-]{1,20}\s)?+)[\"']?"
        r"(?P<value>(?=[^\s\d]{0,64}\d)[^\s\"'`,;\\]{4,512}+)",
        ("--", "authorization"),
        in_small=True,
    ),
    Detector(
        "SECRET",
        rf"(?:{NAMES}\s{{0,4}}(?:\||(?<!\s),)"
        r"|(?:mysql|mysqldump|mysqladmin|mariadb)\s(?:[^\s|;&\[]{1,80}\s){0,8}?-p(?=\S)|sshpass\s-p\s?"
        r"|(?:docker|podman)\slogin\s(?:[^\s|;&\[]{1,80}\s){0,8}?-p\s|redis-cli\s(?:[^\s|;&\[]{1,80}\s){0,8}?-a\s"
        r"|curl\s(?:[^\s|;&]{1,200}\s){0,8}?(?:-u|--user)\s?[\"']?[^\s:\"']{1,80}:)[ \"']{0,4}"
        r"(?P<value>(?=[^\s\d]{0,64}\d)[^\s\"'`,;|]{4,256}+)",
        (*NEEDLES, "mysql", "mariadb", "curl", " login ", "redis-cli"),
        in_small=True,
    ),
    Detector(
        "SECRET",
        rf"(?:(?:pin|{_SENT_CODE})(?<![a-z0-9]pin)(?:{_IS}|\s(?:is|was):?\s)|cv[vc]2?(?:{_IS}|\s(?:is\s)?))"
        r"(?P<value>\d{3,8})(?!\w)",
        ("pin", "otp", "cv", "code"),
        in_small=True,
    ),
    Detector(
        "SECRET",
        rf"(?P<value>\d(?<![\w.-]\d)\d{{3,7}})\sis\syour\s[a-z0-9 -]{{0,30}}?{_SENT_CODE}",
        ("is your ",),
        in_small=True,
    ),
    Detector(
        "SECRET",
        r"(?i)[?&](?:key|sig|signature|code|x-amz-signature|x-goog-signature)=(?P<value>(?!\[)[^\s&\"'#]{6,512}+)",
        ("key=", "sig=", "signature=", "code="),
    ),
)
"""In the order in which they look."""
