"""Detectors of secrets: keys by the beginnings that their issuers gave them, and what is named a secret.

There is no rule by randomness: such rules take words and names for secrets.

Source: the rules of gitleaks and of LangSmith's `anonymizer.DEFAULT_SECRET_RULES`, as to which keys there are
and what they look like. The expressions are our own, since some of theirs take time that grows with the
square of a text's length.
"""

import re
from typing import Final

from observability.detecting import Detector
from observability.secret_names import ABOUT, NAMES, NEEDLES

_KEYS: Final = (
    (r"sk-(?:ant|proj|svcacct|admin|or-v1)-[\w-]{16,}+", "sk-"),  # Anthropic, OpenAI, OpenRouter
    (r"[sp]k-lf-[0-9a-f-]{30,40}+", "k-lf-"),  # Langfuse
    (r"sk-[A-Za-z0-9]{20,}+", "sk-"),  # OpenAI, and others that took after it
    (r"lsv2_(?:pt|sk)_\w{20,}+", "lsv2_"),  # LangSmith
    (r"ls__[A-Za-z0-9]{16,}+", "ls__"),
    (r"gh[pousr]_[A-Za-z0-9]{30,}+", "gh"),  # GitHub
    (r"github_pat_\w{40,}+", "github_pat_"),
    (r"gl(?:pat|rt|dt|ptt|cbt|soat|ft|imt|agent)-[\w-]{20,}+", "gl"),  # GitLab
    (r"(?:AKIA|ASIA|ABIA|ACCA|A3T[A-Z0-9])[A-Z0-9]{16}(?![A-Za-z0-9])", "a"),  # Amazon Web Services
    (r"AIza[\w-]{35}", "aiza"),  # Google
    (r"ya29\.[\w-]{20,}+", "ya29."),
    (r"GOCSPX-[\w-]{20,}+", "gocspx-"),
    (r"xox[abeoprs]-[A-Za-z0-9-]{10,}+", "xox"),  # Slack
    (r"xapp-\d-[A-Za-z0-9-]{10,}+", "xapp-"),
    (r"hooks\.slack\.com/(?:services|workflows|triggers)/[\w/]{10,}+", "hooks.slack.com/"),
    (r"(?:[sr]k|whsec)_(?:(?:live|test)_)?[A-Za-z0-9]{20,}+", "_"),  # Stripe
    (r"npm_[A-Za-z0-9]{30,}+", "npm_"),
    (r"pypi-AgE[\w-]{50,}+", "pypi-age"),
    (r"SG\.[\w-]{16,32}\.[\w-]{16,64}", "sg."),  # SendGrid
    (r"(?:SK|AC)[0-9a-f]{32}(?!\w)", ""),  # Twilio
    (r"hf_[A-Za-z0-9]{30,}+", "hf_"),  # Hugging Face
    (r"gsk_[A-Za-z0-9]{40,}+", "gsk_"),  # Groq
    (r"xai-[A-Za-z0-9]{40,}+", "xai-"),
    (r"pplx-[A-Za-z0-9]{40,}+", "pplx-"),  # Perplexity
    (r"r8_[A-Za-z0-9]{30,}+", "r8_"),  # Replicate
    (r"dapi[0-9a-f]{32}", "dapi"),  # Databricks
    (r"do[opr]_v1_[0-9a-f]{64}", "_v1_"),  # DigitalOcean
    (r"shp(?:at|ca|pa|ss)_[0-9A-Fa-f]{32}", "shp"),  # Shopify
    (r"\d{8,10}:AA[\w-]{33}", ":aa"),  # Telegram
    (r"[0-9a-f]{32}-us\d{1,2}(?!\w)", "-us"),  # Mailchimp
    (r"AT(?:ATT|CTT)3[\w=-]{60,}+", "at"),  # Atlassian
    (r"lin_(?:api|oauth)_[A-Za-z0-9]{32,}+", "lin_"),  # Linear
    (r"ntn_[A-Za-z0-9]{40,}+", "ntn_"),  # Notion
    (r"PMAK-[0-9a-f]{24}-[0-9a-f]{34}", "pmak-"),  # Postman
    (r"hv[sbr]\.[\w-]{20,}+", "hv"),  # HashiCorp Vault
    (r"dp\.(?:pt|st|ct|sa|scim|audit)\.[A-Za-z0-9._-]{20,}+", "dp."),  # Doppler
    (r"gl(?:c|sa)_[\w+/=]{30,}+", "gl"),  # Grafana
    (r"NRAK-[A-Z0-9]{27}", "nrak-"),  # New Relic
    (r"sntry[su]_[\w+/=.-]{40,}+", "sntry"),  # Sentry
    (r"sb(?:p|_secret|_publishable)_[\w-]{20,}+", "sb"),  # Supabase
    (r"pscale_(?:tkn|pw|oauth)_[\w.=-]{30,}+", "pscale_"),  # PlanetScale
    (r"sq0[a-z]{3}-[\w-]{22,}+", "sq0"),  # Square
    (r"AGE-SECRET-KEY-1[A-Z0-9]{58}", "age-secret-key-"),
    (r"tvly-[\w-]{20,}+", "tvly-"),  # Tavily
    (r"pcsk_\w{20,}+", "pcsk_"),  # Pinecone
)
"""What keys look like, and a needle of each. Source: gitleaks, `config/gitleaks.toml`."""
_IS = r"\\?[\"']?\s{0,4}(?:[:=]|=>|:=|>(?=\S))\s{0,4}"
_NAMED_SO = rf"{NAMES}(?![a-z0-9])(?!{ABOUT})(?:[_.-][a-z0-9]{{1,24}}){{0,3}}+{_IS}"
_WORD = r"[^\s\"'&;,<>\\]{4,512}+"
_NO_VALUE = (
    r"(?!(?:null|none|true|false|required|optional|missing|empty|valid|invalid|wrong|incorrect|expired|changed"
    r"|reset|click|str|string|text)(?:[\s\"',;:.)}\]&\\|]|\Z)"
    r"|[a-z_]{2,40}(?:\.[a-z_]{1,40}){0,4}(?:\(\)|[(\[]\\?[\"']))"
)
"""What is said of a secret, or the code that gets it."""
_QUOTED = (
    r"(?P<quote>\\?[\"'])(?P<value>(?=[^\s\"',;:)}\]])"
    r"(?:(?!(?P=quote))(?:\\[^\r\n]|[^\\\r\n])){4,512}+)(?P=quote)"
)
"""All of it, whatever stands in it."""
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
    # Source: RFC 3986, section 3.2.1.
    Detector("CREDENTIALS", r"://(?P<value>[^:@/\s\[\]\"']{0,128}+:[^@/\s\[\]\"']{1,256}+)@", ("://",)),
    # Source: RFC 7519, section 3.1; both parts begin with a brace and a quote, in base64.
    Detector("JWT", r"(?<![\w-])eyJ[\w-]{5,}+\.[\w-]{5,}+(?:\.[\w-]*+){1,3}+", ("eyj",)),
    *(Detector("API_KEY", rf"(?<![A-Za-z0-9]){key}", (needle,) if needle else ()) for key, needle in _KEYS),
    # Source: RFC 6750 and RFC 7617.
    Detector(
        "TOKEN",
        r"(?i)(?<!\w)(?:bearer|basic)\s{1,4}(?P<value>(?=[A-Za-z._~+/-]{0,200}[0-9=])[A-Za-z0-9._~+/-]{8,}+=*+)",
        ("bearer", "basic"),
    ),
    Detector("COOKIE", r"(?i)(?<!\w)cookie:\s?(?P<value>[^\r\n\[\"']{4,8192}+)", ("cookie:",)),
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
        rf"{_NAMED_SO}(?P<value>\[[^\[\]{{}}]{{4,2048}}+\])",
        NEEDLES,
        _unless_found,
        in_small=True,
    ),
    Detector(
        "SECRET",
        rf"{_NAMED_SO}{_QUOTED}",
        NEEDLES,
        _unless_found,
        in_small=True,
    ),
    Detector(
        "SECRET",
        rf"{_NAMED_SO}(?:(?:bearer|basic|token)\s)?\\?[\"']?(?P<value>{_NO_VALUE}(?:\d{{4,512}}(?=[\s,}}\]])|{_WORD}))",
        NEEDLES,
        _unless_found,
        in_small=True,
    ),
    Detector(
        "SECRET",
        rf"(?:{NAMES}|pin(?<![a-z0-9]pin)|otp(?<![a-z0-9]otp))\s(?:is|are|was|:=?)\s[\"'`]?"
        r"(?P<value>(?=[^\s\d]{0,64}\d)[^\s\"'`,;]{4,256}+)",
        (*NEEDLES, "pin", "otp"),
        in_small=True,
    ),
    Detector(
        "SECRET",
        rf"(?:--(?<!---)(?!-)[a-z0-9-]{{0,40}}?{NAMES}\s|authorization{_IS}\\?[\"']?(?:[a-z]{{1,20}}\s)?)[\"']?"
        r"(?P<value>(?=[^\s\d]{0,64}\d)[^\s\"'`,;\\]{4,512}+)",
        ("--", "authorization"),
        in_small=True,
    ),
    Detector(
        "SECRET",
        rf"(?:{NAMES}\s{{0,4}}(?:\||(?<!\s),)|(?:mysql|mysqldump|mysqladmin|mariadb)\s(?:[^\s|;&]{{1,80}}\s){{0,8}}?-p(?=\S)"
        r"|curl\s(?:[^\s|;&]{1,200}\s){0,8}?(?:-u|--user)\s?[\"']?[^\s:\"']{1,80}:)[ \"']{0,4}"
        r"(?P<value>(?=[^\s\d]{0,64}\d)[^\s\"'`,;|]{4,256}+)",
        (*NEEDLES, "mysql", "mariadb", "curl"),
        in_small=True,
    ),
    Detector(
        "SECRET",
        r"(?:pin|otp|cvv2?|cvc2?|(?:verification|security|access|one-time) code)"
        rf"(?<![a-z0-9]pin)(?<![a-z0-9]otp){_IS}(?P<value>\d{{3,8}})(?!\w)",
        ("pin", "otp", "cv", "code"),
        in_small=True,
    ),
    Detector(
        "SECRET",
        r"(?i)[?&](?:key|sig|signature|code|x-amz-signature|x-goog-signature)=(?P<value>(?!\[)[^\s&\"'#]{6,512}+)",
        ("key=", "sig=", "signature=", "code="),
    ),
)
"""In the order in which they look."""
