"""Whether an actor takes a letter from outside."""

from __future__ import annotations

from theater.errors import MailboxFull
from theater.runtime.being import Being
from theater.runtime.exports import DEFERRING
from theater.runtime.letter import Letter


def take_place(being: Being) -> None:
    """Take a place in its mailbox.

    Raises:
        MailboxFull: as many letters wait as its manifest allows.
    """
    directory = being.surroundings.directory
    card = directory.card(being.id)
    most = being.anatomy.limits.mailbox
    if card is None or not directory.take_place(card, most=most):
        raise MailboxFull(f"the mailbox of {being.record.name!r} is full ({most} letters); try again")


def require_room(being: Being, letter: Letter) -> None:
    """Whether a request from outside can be put off as well. Where it cannot, it does not get into the mailbox.

    Those of other actors do not count here, so that whoever is outside can still ask for them to be answered; nor do
    the clients of its HTTP servers, who have as much room of their own.

    Raises:
        MailboxFull: as many from outside wait for an answer as its manifest allows.
    """
    most = being.anatomy.limits.outstanding
    holdings = being.holdings
    if not letter.expects_reply or letter.export not in DEFERRING or len(holdings.deferred or ()) < most:
        return
    now_us = being.surroundings.node.clock.now_us()
    alike = (each for each in holdings.all_deferred() if each.sender is None and each.export == letter.export)
    if sum(not each.is_expired(now_us) for each in alike) >= most:
        raise MailboxFull(f"{being.record.name!r} has put off as many answers as it may ({most}); try again")
