"""The one way in which a text that is not ours gets onto a terminal, into a document or into a log.

Guests, chains, bundles and manifests are written by people whom nobody trusts. A control character in their text could
move the cursor, set the title or answer for the user; a bidi control could show one thing and mean another. Each of
them is shown as what it is, never sent.
"""

from __future__ import annotations

import re

_C0_AND_C1 = "\x00-\x1f\x7f-\x9f"
_BIDI = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_LINE_ENDS = "\u2028\u2029"
_SURROGATES = "\ud800-\udfff"  # alone, that is: nothing can encode them
_RISKY = re.compile(f"[{_C0_AND_C1}{_BIDI}{_LINE_ENDS}{_SURROGATES}]")
_SPACES = "\t\n\r"


def safe(text: str, *, keep: str = "") -> str:
    r"""``text`` with every control character, bidi control, line separator and lone surrogate as ``\u{…}``.

    Those in ``keep`` (a newline, a tab) stay.
    """
    return _RISKY.sub(lambda found: found[0] if found[0] in keep else f"\\u{{{ord(found[0]):x}}}", text)


def safe_json(text: str) -> str:
    r"""The same for a JSON text, which stays JSON of the same value and becomes one line.

    What is risky can only stand in a string there, so it is escaped as JSON does it, ``\u202e``; line ends and tabs can
    only stand between tokens, and become spaces.
    """
    return _RISKY.sub(lambda found: " " if found[0] in _SPACES else f"\\u{ord(found[0]):04x}", text)


def encodable(text: str) -> str:
    r"""``text`` with every lone surrogate, which no UTF-8 has, written out: ``\udc80``."""
    return text.encode("utf-8", "backslashreplace").decode()
