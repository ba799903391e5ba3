"""What an actor may ask of the web: the grant of ``http-client``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from theater.capabilities.grant_table import (
    check_keys,
    few_texts_of,
    manifest_line,
    number_lines,
    number_of,
)
from theater.capabilities.http_addresses import IpAddress, is_public
from theater.capabilities.http_rules import (
    AllowRule,
    PrivateRule,
    SecretRule,
    beyond_all,
    fewest,
    parse_allow,
    parse_private,
    parse_secret,
    within_both,
)
from theater.capabilities.http_url import HttpUrl
from theater.errors import InvalidManifest
from theater.model.quantity import parse_count, parse_milliseconds, parse_size, show_milliseconds, show_size

NAME = "http-client"

REQUEST_DEFAULT_BYTES = 2**20
"""As large as a message may be: it is recorded whole."""
RESPONSE_DEFAULT_BYTES = 2**20
"""Likewise; many answers of APIs have some kilobytes, and the limit ``bytes-per-step`` is 16 MiB."""
BODY_MAX_BYTES = 64 * 2**20
"""A body is in memory and in the chain whole: for more, another way is needed."""
TIMEOUT_DEFAULT_MS = 60_000
"""The limit ``wait``, unless the manifest sets another one."""
TIMEOUT_MAX_MS = 24 * 3_600_000
"""A day: the most that the limit ``wait`` can be."""
REDIRECTS_DEFAULT = 10
"""What the interface promises; an honest server needs one or two."""
REDIRECTS_MAX = 20

T = TypeVar("T", AllowRule, PrivateRule, SecretRule)


@dataclass(frozen=True, slots=True)
class HttpClientGrant:
    """Which methods and URLs, private places and secrets; the largest bodies, the longest time, the most redirects."""

    allow: tuple[AllowRule, ...] = ()
    private: tuple[PrivateRule, ...] = ()
    secrets: tuple[SecretRule, ...] = ()
    request_bytes: int = REQUEST_DEFAULT_BYTES
    response_bytes: int = RESPONSE_DEFAULT_BYTES
    timeout_ms: int = TIMEOUT_DEFAULT_MS
    redirects: int = REDIRECTS_DEFAULT

    def __post_init__(self) -> None:
        for key, value, most, shown in (
            ("request-size", self.request_bytes, BODY_MAX_BYTES, show_size(BODY_MAX_BYTES)),
            ("response-size", self.response_bytes, BODY_MAX_BYTES, show_size(BODY_MAX_BYTES)),
            ("timeout", self.timeout_ms, TIMEOUT_MAX_MS, show_milliseconds(TIMEOUT_MAX_MS)),
            ("redirects", self.redirects, REDIRECTS_MAX, str(REDIRECTS_MAX)),
        ):
            if not 0 <= value <= most:
                raise InvalidManifest(f"[capabilities.{NAME}] {key}: {shown} is the most")
        object.__setattr__(self, "allow", fewest(self.allow))
        object.__setattr__(self, "private", fewest(self.private))
        object.__setattr__(self, "secrets", fewest(self.secrets))

    def missing(self, method: str, url: HttpUrl) -> str | None:
        """The manifest line without which this may not be asked; None where it may."""
        if any(rule.allows(method, url) for rule in self.allow):
            return None
        return manifest_line("allow", [f"{method} {url.place}"])

    def missing_private(self, url: HttpUrl, address: IpAddress) -> str | None:
        """The line without which a request to ``url`` may not go to ``address``; None where it may.

        It does not say the address, where that is not in the URL: names of an inner network are nobody's business.
        """
        if is_public(address) or any(rule.allows(url, address) for rule in self.private):
            return None
        host = f"[{url.host}]" if ":" in url.host else url.host
        return manifest_line("private", [f"{host}:{url.port}"])

    def missing_secret(self, name: str, url: HttpUrl) -> str | None:
        """The line without which this secret may not be sent to ``url``; None where it may."""
        if any(rule.allows(name, url) for rule in self.secrets):
            return None
        return manifest_line("secrets", [f"{name} {url.place}"])

    def table(self) -> dict[str, object]:
        return {
            "allow": [str(rule) for rule in self.allow],
            "private": [str(rule) for rule in self.private],
            "secrets": [str(rule) for rule in self.secrets],
            **self._numbers(),
        }

    def lines(self, beyond: HttpClientGrant | None) -> list[str]:
        wide = beyond or HttpClientGrant()
        lists: dict[str, list[str]] = {
            "allow": [str(rule) for rule in beyond_all(self.allow, wide.allow)],
            "private": [str(rule) for rule in beyond_all(self.private, wide.private)],
            "secrets": [str(rule) for rule in beyond_all(self.secrets, wide.secrets)],
        }
        found = [manifest_line(key, [item]) for key, items in lists.items() for item in items]
        own, most = self.sizes(), wide.sizes()
        numbers = self._numbers()
        found += number_lines(own, most, numbers, is_named=beyond is None)
        return found or ([f"[capabilities.{NAME}]"] if beyond is None else [])

    def narrowed(self, ceiling: HttpClientGrant) -> HttpClientGrant:
        return HttpClientGrant(
            allow=within_both(self.allow, ceiling.allow),
            private=within_both(self.private, ceiling.private),
            secrets=within_both(self.secrets, ceiling.secrets),
            request_bytes=min(self.request_bytes, ceiling.request_bytes),
            response_bytes=min(self.response_bytes, ceiling.response_bytes),
            timeout_ms=min(self.timeout_ms, ceiling.timeout_ms),
            redirects=min(self.redirects, ceiling.redirects),
        )

    def sizes(self) -> dict[str, int]:
        """What is a number in it, by key."""
        return {
            "request-size": self.request_bytes,
            "response-size": self.response_bytes,
            "timeout": self.timeout_ms,
            "redirects": self.redirects,
        }

    def _numbers(self) -> dict[str, object]:
        return {
            "request-size": show_size(self.request_bytes),
            "response-size": show_size(self.response_bytes),
            "timeout": show_milliseconds(self.timeout_ms),
            "redirects": self.redirects,
        }


def parse(table: Mapping[str, object]) -> HttpClientGrant:
    """Keys: ``allow``, ``private`` and ``secrets``, lists; ``request-size``, ``response-size``, ``timeout``,
    ``redirects``.
    """  # noqa: D205 - one list
    check_keys(NAME, table, ("allow", "private", "secrets", "request-size", "response-size", "timeout", "redirects"))
    return HttpClientGrant(
        allow=_rules(table, "allow", parse_allow),
        private=_rules(table, "private", parse_private),
        secrets=_rules(table, "secrets", parse_secret),
        request_bytes=number_of(NAME, table, "request-size", parse=parse_size, default=REQUEST_DEFAULT_BYTES),
        response_bytes=number_of(NAME, table, "response-size", parse=parse_size, default=RESPONSE_DEFAULT_BYTES),
        timeout_ms=number_of(NAME, table, "timeout", parse=parse_milliseconds, default=TIMEOUT_DEFAULT_MS),
        redirects=number_of(NAME, table, "redirects", parse=parse_count, default=REDIRECTS_DEFAULT),
    )


def timeout_line(timeout_ms: int) -> str:
    """The line that allows a request to take that long."""
    return manifest_line("timeout", show_milliseconds(timeout_ms))


def response_line(size_bytes: int) -> str:
    """The line that allows an answer of that size."""
    return manifest_line("response-size", show_size(size_bytes))


def redirects_line(redirects: int) -> str:
    """The line that allows so many redirects."""
    return manifest_line("redirects", redirects)


def _rules(table: Mapping[str, object], key: str, parse_rule: Callable[[str], T]) -> tuple[T, ...]:
    found = []
    for text in few_texts_of(NAME, table, key):
        try:
            found.append(parse_rule(text))
        except ValueError as error:
            raise InvalidManifest(f"[capabilities.{NAME}] {key}: {text!r}: {error}") from error
    return tuple(found)
