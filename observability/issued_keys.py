"""What keys look like that their issuers gave a beginning of their own.

Source: the rules of gitleaks (`config/gitleaks.toml`), Nosey Parker and Kingfisher, and of LangSmith's
`anonymizer.DEFAULT_SECRET_RULES`, as to which keys there are and what they look like; of Cerebras, Fireworks,
NVIDIA, Together and Voyage, what several scanners agree on. The expressions are our own, since some of theirs
take time that grows with the square of a text's length.
"""

from typing import Final

KEYS: Final[tuple[tuple[str, ...], ...]] = (
    (r"sk-(?:ant|proj|svcacct|admin|or-v1)-[\w-]{16,}+", "sk-"),  # Anthropic, OpenAI, OpenRouter
    (r"[sp]k-lf-[0-9a-f-]{30,40}+", "k-lf-"),  # Langfuse
    (r"sk-[A-Za-z0-9]{20,}+", "sk-"),  # OpenAI, and others that took after it
    (r"lsv2_(?:pt|sk)_\w{20,}+", "lsv2_"),  # LangSmith
    (r"ls__[A-Za-z0-9]{16,}+", "ls__"),
    (r"gh[pousr]_[A-Za-z0-9]{30,}+", "ghp_", "gho_", "ghu_", "ghs_", "ghr_"),  # GitHub
    (r"github_pat_\w{40,}+", "github_pat_"),
    (
        r"gl(?:pat|rt|dt|ptt|cbt|soat|ft|imt|agent)-[\w-]{20,}+",  # GitLab
        *("glpat-", "glrt-", "gldt-", "glptt-", "glcbt-", "glsoat-", "glft-", "glimt-", "glagent-"),
    ),
    (r"GR1348941[\w-]{20,}+", "GR1348941"),
    (
        r"(?:AKIA|ASIA|ABIA|ACCA|A3T[A-Z0-9])[A-Z0-9]{16}(?![A-Za-z0-9])",  # Amazon Web Services
        *("AKIA", "ASIA", "ABIA", "ACCA", "A3T"),
    ),
    (r"ABSK[A-Za-z0-9+/]{40,}+={0,2}", "ABSK"),  # Amazon Bedrock
    (r"bedrock-api-key-[\w+/=-]{40,}+", "bedrock-api-key-"),
    (r"AIza[\w-]{35}", "AIza"),  # Google
    (r"ya29\.[\w-]{20,}+", "ya29."),
    (r"GOCSPX-[\w-]{20,}+", "GOCSPX-"),
    (r"xox[abeoprs]-[A-Za-z0-9-]{10,}+", "xox"),  # Slack
    (r"xapp-\d-[A-Za-z0-9-]{10,}+", "xapp-"),
    (r"hooks\.slack\.com/(?:services|workflows|triggers)/[\w/]{10,}+", "hooks.slack.com/"),
    (r"discord(?:app)?\.com/api/(?:v\d{1,2}/)?webhooks/\d{17,20}/[\w-]{60,}+", "/webhooks/"),
    (r"webhook\.office\.com/webhookb2/[\w@/-]{60,}+", "webhook.office.com/"),  # Microsoft Teams
    (r"outlook\.office(?:365)?\.com/webhook/[\w@/-]{60,}+", "/webhook/"),
    (r"(?:[sr]k|whsec)_(?:(?:live|test)_)?[A-Za-z0-9]{20,}+", "sk_", "rk_", "whsec_"),  # Stripe
    (r"npm_[A-Za-z0-9]{30,}+", "npm_"),
    (r"pypi-AgE[\w-]{50,}+", "pypi-AgE"),
    (r"rubygems_[0-9a-f]{48}", "rubygems_"),
    (r"SG\.[\w-]{16,32}\.[\w-]{16,64}", "SG."),  # SendGrid
    (r"(?:SK|AC)[0-9a-f]{32}(?!\w)", "SK", "AC"),  # Twilio
    (r"key-(?:(?<![\w-]key-)|(?<=\\[nrt]key-))[0-9a-f]{32}(?!\w)", "key-"),  # Mailgun
    (r"hf_[A-Za-z0-9]{30,}+", "hf_"),  # Hugging Face
    (r"gsk_[A-Za-z0-9]{40,}+", "gsk_"),  # Groq
    (r"xai-[A-Za-z0-9]{40,}+", "xai-"),
    (r"pplx-[A-Za-z0-9]{40,}+", "pplx-"),  # Perplexity
    (r"r8_[A-Za-z0-9]{30,}+", "r8_"),  # Replicate
    (r"csk-[a-z0-9]{40,}+", "csk-"),  # Cerebras
    (r"fw_[A-Za-z0-9]{20,}+", "fw_"),  # Fireworks
    (r"nvapi-[\w-]{40,}+", "nvapi-"),  # NVIDIA
    (r"tgp_v1_[\w-]{40,}+", "tgp_v1_"),  # Together
    (r"jina_[A-Za-z0-9]{40,}+", "jina_"),
    (
        r"pa-(?:(?<![\w-]pa-)|(?<=\\[nrt]pa-))(?=[\w-]{0,40}\d)(?=[\w-]{0,40}[A-Z])[\w-]{40,}+",
        "pa-",
    ),  # Voyage
    (r"dapi[0-9a-f]{32}", "dapi"),  # Databricks
    (r"do[opr]_v1_[0-9a-f]{64}", "_v1_"),  # DigitalOcean
    (r"shp(?:at|ca|pa|ss)_[0-9A-Fa-f]{32}", "shpat_", "shpca_", "shppa_", "shpss_"),  # Shopify
    (r"\d{8,10}:AA[\w-]{33}", ":AA"),  # Telegram
    (r"[0-9a-f]{32}-us\d{1,2}(?!\w)", "-us"),  # Mailchimp
    (r"AT(?:ATT|CTT)3[\w=-]{60,}+", "ATATT3", "ATCTT3"),  # Atlassian
    (r"lin_(?:api|oauth)_[A-Za-z0-9]{32,}+", "lin_"),  # Linear
    (r"ntn_[A-Za-z0-9]{40,}+", "ntn_"),  # Notion
    (r"PMAK-[0-9a-f]{24}-[0-9a-f]{34}", "PMAK-"),  # Postman
    (r"hv[sbr]\.[\w-]{20,}+", "hvs.", "hvb.", "hvr."),  # HashiCorp Vault
    (r"[A-Za-z0-9]{14}\.atlasv1\.[\w=-]{60,}+", ".atlasv1."),  # HashiCorp Terraform
    (r"pul-[0-9a-f]{40}", "pul-"),  # Pulumi
    (r"dp\.(?:pt|st|ct|sa|scim|audit)\.[A-Za-z0-9._-]{20,}+", "dp."),  # Doppler
    (r"gl(?:c|sa)_[\w+/=]{30,}+", "glc_", "glsa_"),  # Grafana
    (r"NR(?:AK-[A-Z0-9]{27}|II-[\w-]{32}|JS-[0-9a-f]{19})", "NRAK-", "NRII-", "NRJS-"),  # New Relic
    (r"[A-Za-z0-9]{36}NRAL(?!\w)", "NRAL"),
    (r"sntry[su]_[\w+/=.-]{40,}+", "sntry"),  # Sentry
    (r"sb(?:p|_secret|_publishable)_[\w-]{20,}+", "sbp_", "sb_"),  # Supabase
    (r"pscale_(?:tkn|pw|oauth)_[\w.=-]{30,}+", "pscale_"),  # PlanetScale
    (r"sq0[a-z]{3}-[\w-]{22,}+", "sq0"),  # Square
    (r"sq[apu]_[0-9a-f]{40}", "sqa_", "sqp_", "squ_"),  # SonarQube
    (r"EAA[A-Z][A-Za-z0-9]{40,}+", "EAA"),  # Facebook
    (r"access_token\$(?:production|sandbox)\$[0-9a-z]{16}\$[0-9a-f]{32}", "access_token$"),  # PayPal
    (r"AGE-SECRET-KEY-1[A-Z0-9]{58}", "AGE-SECRET-KEY-"),
    (r"tvly-[\w-]{20,}+", "tvly-"),  # Tavily
    (r"pcsk_\w{20,}+", "pcsk_"),  # Pinecone
    (r"dckr_[op]at_[\w-]{20,}+", "dckr_"),  # Docker
    (r"HRKU-AA[\w-]{30,}+", "HRKU-AA"),  # Heroku
    (r"figd_[\w-]{30,}+", "figd_"),  # Figma
    (r"pat[A-Za-z0-9]{14}\.[0-9a-f]{64}", "pat"),  # Airtable
    (r"pat-[a-z]{2}\d-[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}", "pat-"),  # HubSpot
    (r"[0-2]/\d{16}(?:/\d{16})?:[0-9a-f]{32}", "0/", "1/", "2/"),  # Asana
    (r"bkua_[0-9a-z]{40}", "bkua_"),  # Buildkite
    (r"CCIP(?:AT|RJ)_\w{40,}+", "CCIPAT_", "CCIPRJ_"),  # CircleCI
    (r"tskey-[a-z]{2,16}-[\w-]{16,}+", "tskey-"),  # Tailscale
    (r"fo1_[\w-]{43}", "fo1_"),  # Fly.io
    (r"fm(?:1[ar]|2)_[\w+/=,-]{30,}+", "fm1a_", "fm1r_", "fm2_"),
    (r"AKCp[A-Za-z0-9]{60,}+", "AKCp"),  # JFrog Artifactory
    (r"cmVmd[A-Za-z0-9]{59}(?![A-Za-z0-9])", "cmVmd"),
    (r"aio_[A-Za-z0-9]{28}(?![A-Za-z0-9])", "aio_"),  # Adafruit
)
"""An expression of each, and the beginnings of which one is in every text that has such a key."""
