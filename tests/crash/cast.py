"""Who plays while the process is killed, and what they are told.

Every message carries a token of eight digits, which ends up in the log of exactly one actor, wherever it has been
before. Whoever cannot pass a token on, since the next one does not run just now, puts it into its own log.
"""

from __future__ import annotations

from collections.abc import Iterable

from tests.guests import puppet
from tests.guests.puppet import ANSWER, MESSAGE, Json, puppet_manifest

ROOTS = (
    "sender-0",
    "sender-1",
    "relay-0",
    "relay-1",
    "chain-0",
    "chain-1",
    "chain-2",
    "sleeper-0",
    "sleeper-1",
    "asker-0",
    "asker-1",
    "keeper",
    "boss",
)
CHILDREN = ("child-0", "child-1", "child-2")
ALLOWED = ("messaging", "timing")

CAPABILITIES = {"messaging": 'to = ["any"]', "supervisor": "", "timing": 'repeat = "100ms"'}
SUPERVISION = "intensity = 1000\n[supervision.self]\nintensity = 1000"
"""A step that is killed twice closes as a crash, and this one must not be the end of anybody."""

ANSWER_MS = 15_000  # longer than any row of early kills takes; for an answer that died with whoever was to give it
AGAIN_MS = 50  # an actor that has crashed is running again by then

_ID = "X" * 32


def manifest(digest: str, name: str) -> str:
    """That of each of them."""
    return puppet_manifest(digest, name, capabilities=CAPABILITIES, supervision=SUPERVISION)


def birth(digest: str, name: str) -> str:
    """What the boss is told, to have a child."""
    return puppet.spawn(puppet.child(manifest(digest, name))) + puppet.reply(puppet.FULL_ANSWER)


def noted(token: str) -> str:
    """Put it into the log."""
    return puppet.log(token)


def noted_by_its_id(token: str) -> str:
    """Put it into the log, and reply the id of the message: so no other has the same answer."""
    return puppet.log(token) + puppet.reply(MESSAGE)


def sent(to: str, program: str, token: str) -> str:
    """Send it on, or else note the token here."""
    return puppet.send(to, program) + puppet.only_if("err:not-running") + noted(token)


def relayed(ways: Iterable[str], token: str) -> str:
    """Send it from one to the next, the last of whom notes it."""
    *ways, last = ways
    program = noted(token)
    for to in (last, *reversed(ways)):
        program = sent(to, program, token)
    return program


def asked_on(ways: Iterable[str], token: str) -> str:
    """Ask one, who asks the next; the last notes it. All of them reply it, and who finds nobody notes it."""
    program = noted(token) + replying(token)
    for to in reversed(list(ways)):
        nobody = puppet.only_if("err:not-running") + noted(token)
        program = puppet.request(to, program) + replying(token) + nobody
    return program


def slept(duration_ms: int, to: str, token: str) -> str:
    """Wait, reply, and send it on."""
    return puppet.sleep(duration_ms) + replying(token) + sent(to, noted(token), token)


def answered_late(keeper: str, helper: str, token: str) -> str:
    """Ask the keeper, who defers; a helper reminds it of the answer, which is the token; note and reply that.

    What the helper is told has the id of the request in it, which only the keeper knows.
    """
    reminder = puppet.send(keeper, puppet.answer_request(_ID, Json(token)))
    again = puppet.only_if("err:not-running") + puppet.sleep(AGAIN_MS) + reminder
    first, *others = (reminder + again).split(_ID)
    reminded = puppet.join(first, *(part for other in others for part in (MESSAGE, other)))
    deferring = puppet.defer() + puppet.send(helper, reminded)
    nobody = puppet.only_if("err:not-running") + noted(token)
    return puppet.request(keeper, deferring, ANSWER_MS) + puppet.log(ANSWER) + puppet.reply(ANSWER) + nobody


def replying(token: str) -> str:
    """Reply it, whatever comes then."""
    return puppet.reply(Json(token))


def crashed() -> str:
    """End the step, and the actor, until its supervisor starts it again."""
    return puppet.trap()
