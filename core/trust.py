"""Which certificates our own HTTP clients trust: those of the operating system, as pip and uv do here."""

import ssl

import truststore


def system_trust() -> ssl.SSLContext:
    """Return a TLS context on the system's certificate store, which knows a company's own proxy."""
    return truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
