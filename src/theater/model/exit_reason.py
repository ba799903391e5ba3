"""Why an actor is no longer running: the closed list of reasons, and which of them are failures."""

from __future__ import annotations

from typing import Literal, get_args

from theater.errors import InvalidInput
from theater.model.crash import CRASH_REASONS, CrashReason
from theater.model.json_text import check_json
from theater.model.recorded import Recorded, check_one_of

ExitKind = Literal["normal", "shutdown", "refused-init", "crashed", "intensity"]

EXIT_KINDS: tuple[ExitKind, ...] = get_args(ExitKind)

ABNORMAL: frozenset[ExitKind] = frozenset({"refused-init", "crashed", "intensity"})
"""The ends that are failures.

In OTP a supervisor that gives up exits with ``shutdown``, which is no failure, so that a transient one stays down. Here
``intensity`` is one, on purpose: a failure that cannot be mended climbs until somebody can.
"""

_VALUE_MAX_BYTES = 64 * 2**20  # the largest JSON text that any limit allows
_NEEDS: dict[ExitKind, str | None] = {
    "normal": None,
    "shutdown": "by",
    "refused-init": "text",
    "crashed": "crash",
    "intensity": None,
}
_MAY_HAVE: dict[ExitKind, str | None] = _NEEDS | {"normal": "value"}


class ExitReason(Recorded, frozen=True, kw_only=True, omit_defaults=True):
    """How an actor ended. Beside ``kind`` exactly what belongs to it is set.

    * ``normal``: it called ``runtime.shutdown``. ``value``: the JSON text that it gave there, or None.
    * ``shutdown``: it was stopped. ``by``: an actor id, the name of a client, or ``runtime``.
    * ``refused-init``: its ``init`` answered ``err``. ``text``: that text.
    * ``crashed``: a step crashed. ``crash``: why.
    * ``intensity``: it gave up, because its own children failed too often.

    Raises:
        InvalidInput: an unknown kind or crash reason, something that does not belong to the kind, or lacks.
        InvalidJson: ``value`` is not JSON, or larger than 64 MiB.
    """

    kind: ExitKind
    value: str | None = None
    by: str | None = None
    text: str | None = None
    crash: CrashReason | None = None

    def __post_init__(self) -> None:
        check_one_of("kind", self.kind, EXIT_KINDS)
        given = {"value": self.value, "by": self.by, "text": self.text, "crash": self.crash}
        for name, value in given.items():
            if value is not None and name != _MAY_HAVE[self.kind]:
                raise InvalidInput(f"an exit reason {self.kind!r} has no {name}")
            if value is None and name == _NEEDS[self.kind]:
                raise InvalidInput(f"an exit reason {self.kind!r} needs {name}")
        if self.by == "":
            raise InvalidInput("by is empty: name who stopped the actor")
        if self.crash is not None:
            check_one_of("crash", self.crash, CRASH_REASONS)
        if self.value is not None:
            check_json(self.value, max_bytes=_VALUE_MAX_BYTES)

    @property
    def is_abnormal(self) -> bool:
        """Whether this end is a failure, after which a transient child is restarted."""
        return self.kind in ABNORMAL

    def to_wit(self) -> tuple[str, str | tuple[str, None] | None]:
        """The value of ``exits.exit-reason`` that a guest gets: ``("crashed", ("trap", None))``."""
        match self.kind:
            case "normal":
                return "normal", self.value
            case "shutdown":
                return "shutdown", self.by
            case "refused-init":
                return "refused-init", self.text
            case "crashed":
                assert self.crash is not None  # checked on construction
                return "crashed", (self.crash, None)
            case "intensity":
                return "intensity", None
