"""The messages that an actor has accepted and not begun, in the order of their acceptance."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from theater.runtime.directory import Card, Directory
from theater.runtime.exports import HANDLE
from theater.runtime.letter import Asker, Letter


class Mailbox:
    """Guarded by the actor's lock. Places are counted on the actor's card, where others reserve them."""

    __slots__ = ("_card", "_directory", "_found", "_letters")

    def __init__(
        self, directory: Directory, card: Card, letters: Iterable[Letter] = (), found: Iterable[str] = ()
    ) -> None:
        """``letters`` wait already; ``found`` are the ids of all that were read from the store, begun ones too."""
        self._directory = directory
        self._card = card
        self._letters: deque[Letter] | None = None
        self._found: set[str] | None = None
        for letter in letters:
            if letter.has_place:
                directory.take_place(card, most=None)
            self.put(letter)
        self._found = set(found) or None

    def __len__(self) -> int:
        """How many wait."""
        return len(self._letters) if self._letters else 0

    def put(self, letter: Letter) -> None:
        """Behind all others, unless it was found in the store: whoever posted it is late to hand it over."""
        if self._found is not None and letter.id in self._found:
            self._found.discard(letter.id)
            self._free(letter)  # its place was taken when it was posted, and again when it was found
            return
        if self._letters is None:
            self._letters = deque()
        self._letters.append(letter)

    def put_first(self, letter: Letter) -> None:
        """Before all others: what has to be done before anything else makes sense."""
        if self._letters is None:
            self._letters = deque()
        self._letters.appendleft(letter)

    def take(self) -> Letter:
        """The next one; its place is free again."""
        assert self._letters
        letter = self._letters.popleft()
        self._free(letter)
        if not self._letters:
            self._letters = None  # a deque is 600 bytes, and most mailboxes are empty
        return letter

    def take_if(self, is_wanted: Callable[[Letter], bool]) -> list[Letter]:
        """Those of which that holds; the others stay."""
        if not self._letters:
            return []
        taken = [letter for letter in self._letters if is_wanted(letter)]
        if taken:
            self._letters = deque(letter for letter in self._letters if not is_wanted(letter)) or None
        for letter in taken:
            self._free(letter)
        return taken

    def take_requests(self) -> list[Letter]:
        """Those for whose answer somebody waits, and those that would not survive the process; the others stay."""
        return self.take_if(lambda letter: letter.expects_reply or not letter.is_durable)

    def take_volatile(self) -> list[Letter]:
        """Those that are not in the store; the others stay."""
        return self.take_if(lambda letter: not letter.is_durable)

    def drop_forgone(self) -> None:
        """Those of clients that wait no longer. A message is handled all the same, as its sender was told."""
        self.take_if(_is_forgone)

    def take_durable(self) -> list[Letter]:
        """Those that are in the store; their places stay taken, since they go on waiting there."""
        taken = [letter for letter in self._letters or () if letter.is_durable]
        self._letters = deque(letter for letter in self._letters or () if not letter.is_durable) or None
        return taken

    def clear(self) -> list[Letter]:
        """All of them: nothing of them will be done in this process."""
        letters, self._letters = self._letters, None
        for letter in letters or ():
            self._free(letter)
        return list(letters or ())

    def _free(self, letter: Letter) -> None:
        if letter.has_place:
            self._directory.free_place(self._card)


def _is_forgone(letter: Letter) -> bool:
    is_client = letter.export != HANDLE and not letter.is_durable
    return is_client and isinstance(letter.done, Asker) and letter.done.is_gone
