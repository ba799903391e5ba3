"""What a listener needs to speak TLS."""

from __future__ import annotations

import ssl

from theater.capabilities.http_front import Certificate
from theater.errors import InvalidInput


def context_of(certificate: Certificate) -> ssl.SSLContext:
    """TLS 1.2 and newer with that certificate. Reads two files.

    Raises:
        InvalidInput: they cannot be read, are no PEM, or do not belong together; or the key is encrypted.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(certificate.certificate, certificate.key, password=_refuse_to_ask)
    except (OSError, ValueError) as error:  # an SSLError is an OSError
        raise InvalidInput(
            f"the certificate {certificate.certificate} with the key {certificate.key} cannot be used: {error}"
        ) from error
    return context


def _refuse_to_ask() -> str:
    """OpenSSL would ask whoever sits at the terminal."""
    raise ValueError("the key is encrypted: nobody is there to decrypt it")
