"""One WebSocket, from its handshake to its end (RFC 6455). ``websockets`` knows the frames; this knows when.

The front decides whether it is taken. Then a task hands it one message after the other, and tells it of the end when
all that came before is handed over. What is said to the client goes out in its order, as fast as the client reads.

* Who does not read is closed with 1008 when more is said than may wait, and has ended when a ping goes unanswered.
* Who sends faster than the front takes is not read from.
* Who sends frames faster than they can be taken apart gets no more of the loop than others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Final

from websockets.exceptions import ProtocolError
from websockets.frames import Frame
from websockets.protocol import Protocol, Side

from theater.capabilities.http_front import Answer, Farewell, Head, Seat
from theater.capabilities.http_listener.entrance import Entrance
from theater.capabilities.http_listener.handshake import Handshake, read_handshake
from theater.capabilities.http_listener.inbox import Inbox
from theater.capabilities.http_listener.outbox import Outbox, Saying
from theater.capabilities.http_listener.pulse import Pulse
from theater.capabilities.http_listener.reception import Reception
from theater.capabilities.http_listener.wire import FAILED, GOING, HOLD_TOO_MUCH, last_words, said
from theater.errors import InternalError

GOING_AWAY: Final = 1001
NO_CODE: Final = 1005
BROKEN: Final = 1006
NO_TEXT: Final = 1007
NOT_READ: Final = 1008
FAILED_HERE: Final = 1011
TRY_LATER: Final = 1013

_PIECE_BYTES: Final = 8 * 2**10  # taken apart before others get their turn: 1,400 frames at most, about 10 ms
_EARLY_BYTES: Final = 16 * 2**10  # read before the handshake is answered
_CONTROL_BYTES: Final = 64 * 2**10  # answers to pings that wait, until no more is read


class WebSocket(asyncio.Protocol):
    """See above. Belongs to the loop, but for ``say`` and ``waiting_bytes``."""

    def __init__(self, reception: Reception, entrance: Entrance, transport: asyncio.Transport, head: Head) -> None:
        self._reception = reception
        self._entrance = entrance
        self.transport = transport
        self._head = head
        self._inbox = Inbox()
        self._outbox = Outbox()
        self._frames = Protocol(Side.SERVER)
        self._handshake: Handshake | None = None
        self._living: asyncio.Task[None] | None = None
        self._pulse = Pulse(reception.bounds, transport, self._ping)
        self._is_open = False
        self._is_clogged = False
        """Whether something that was written has not gone out."""
        self._is_parting = False
        """Whether a farewell was said here: what comes behind it is not sent, and what comes in is not heard."""
        self._is_lost = False
        self._end: Farewell | None = None
        """How it ends, once that is certain."""
        self._arrived = bytearray()
        self._is_digesting = False
        self._held_bytes = 0
        """Of the room that all have."""
        self._stirred = asyncio.Event()

    # -- what others say -----------------------------------------------------------------------------------------------

    @property
    def waiting_bytes(self) -> int:
        return self._outbox.waiting_bytes

    def say(self, message: str | bytes) -> Callable[[], None]:
        saying = Saying(message.encode() if isinstance(message, str) else message, isinstance(message, str))
        self._outbox.announce(saying)
        return partial(self._say, saying)

    def part(self, farewell: Farewell) -> None:
        if not self._is_parting and not self._is_lost:
            self._is_parting = True
            self._outbox.add(farewell)
            self._flush()

    def shutdown(self) -> None:
        """The server closes."""
        if self._living is None:
            self.transport.close()
        self.part(Farewell(GOING_AWAY, "the server is closed"))

    def abort(self) -> None:
        """End it at once."""
        self.transport.abort()

    # -- its beginning -------------------------------------------------------------------------------------------------

    def begin(self, early: bytes) -> None:
        """Its request has come, and ``early`` behind it."""
        self._reception.connections.connections.add(self)  # type: ignore[arg-type]  # uvicorn means its own protocols
        self._entrance.connections.add(self)
        self.transport.set_write_buffer_limits(high=1, low=0)  # told when all that was written is out
        taken = self._ask_for_seat()
        if isinstance(taken, Answer):
            self._turn_away(taken)
            return
        self._handshake, seat = taken
        self._frames = Protocol(Side.SERVER, max_size=seat.message_max_bytes)
        self._reception.websockets[seat.connection] = self
        self._living = self._reception.loop.create_task(self._live(seat))
        if early:
            self.data_received(early)

    def _ask_for_seat(self) -> tuple[Handshake, Seat] | Answer:
        reception = self._reception
        if len(reception.websockets) >= reception.bounds.websockets_max:
            return said(503, HOLD_TOO_MUCH, ("retry-after", "1"))
        handshake = read_handshake(self._head)
        if isinstance(handshake, Answer):
            return handshake
        try:
            seat = reception.front.seat(self._head, handshake.protocols)
            if isinstance(seat, Answer):
                return seat
            _check(seat, handshake, reception)
        except Exception as error:  # noqa: BLE001 - the client is answered, and the node hears of it
            reception.report(error)
            return FAILED
        return handshake, seat

    def _turn_away(self, answer: Answer) -> None:
        self._end = Farewell(BROKEN)
        if self._is_lost:
            return
        try:
            words = last_words(answer)
        except InternalError as error:
            self._reception.report(error)
            words = last_words(FAILED)
        self.transport.write(words)
        self._close()

    async def _live(self, seat: Seat) -> None:
        front, connection = self._reception.front, seat.connection
        is_taken = False
        try:
            answer = await front.opened(seat, self._head)
            is_taken = answer is None
            if answer is not None:
                self._turn_away(answer)
                return
            self._welcome(seat)
            await self._hand_over(connection)
        except asyncio.CancelledError:  # the listener ends
            self._break_off(GOING)
        except Exception as error:  # noqa: BLE001 - as above
            self._reception.report(error)
            self._break_off(FAILED)
        finally:
            del self._reception.websockets[connection]
            self._forget()
            if is_taken:
                self._tell_end(connection)

    def _break_off(self, answer: Answer) -> None:
        """It cannot go on."""
        if self._is_open:
            self._fail(FAILED_HERE, "something went wrong on this side")
        else:
            self._turn_away(answer)

    def _welcome(self, seat: Seat) -> None:
        assert self._handshake is not None
        if self._is_lost:
            return
        self._is_open = True
        self.transport.write(self._handshake.answer(seat.protocol))
        self._pulse.start()
        self._flush()
        self._digest()

    # -- its end -------------------------------------------------------------------------------------------------------

    def _tell_end(self, connection: str) -> None:
        end = self._end or Farewell(BROKEN)
        try:
            self._reception.front.closed(connection, end.code, end.reason)
        except Exception as error:  # noqa: BLE001 - as above
            self._reception.report(error)

    def _fail(self, code: int, reason: str) -> None:
        """Close it without waiting for anything that was said."""
        if self._is_lost or self._end is not None:
            return
        self._outbox.clear()
        if not self._is_open:  # closed as soon as it is
            self.part(Farewell(code, reason))
            return
        self._is_parting = True
        self._ends(Farewell(code, reason))
        self._frames.fail(code, reason)
        self._write()

    def _ends(self, farewell: Farewell) -> None:
        if self._end is None:
            self._end = farewell
            self._reception.loop.call_soon(self._digest)  # what comes is no longer held back
        self._stirred.set()

    def _close(self) -> None:
        """Behind what is written. Bounded: a client that does not take it is cut off."""
        self._pulse.end_soon()
        if not self.transport.is_closing():
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_lost = True
        self._pulse.stop()
        self._outbox.gone()
        self._outbox.clear()
        self._entrance.connections.discard(self)
        self._reception.connections.connections.discard(self)
        self._reception.connections.gone.set()
        self._arrived.clear()
        self._ends(Farewell(BROKEN))

    # -- what is said --------------------------------------------------------------------------------------------------

    def _say(self, saying: Saying) -> None:
        if self._is_parting or self._is_lost or self._end is not None:
            self._outbox.drop(saying)
        elif self._outbox.kept_bytes >= self._reception.bounds.waiting_max_bytes:
            self._outbox.drop(saying)
            self._fail(NOT_READ, "too much waits to be read")
        else:
            self._outbox.add(saying)
            self._flush()

    def _flush(self) -> None:
        while (
            self._is_open and not self._is_clogged and self._end is None and (item := self._outbox.next()) is not None
        ):
            if isinstance(item, Farewell):
                self._say_farewell(item)
                return
            if item.is_text:
                self._frames.send_text(item.data)
            else:
                self._frames.send_binary(item.data)
            self._write()

    def _say_farewell(self, farewell: Farewell) -> None:
        try:
            self._frames.send_close(None if farewell.code == NO_CODE else farewell.code, farewell.reason)
        except (ProtocolError, ValueError) as error:  # no such code, or a reason that cannot be written
            self._reception.report(error)
            self._fail(FAILED_HERE, "something went wrong on this side")
            return
        self._ends(farewell)
        self._write()
        self._pulse.end_soon()

    def _ping(self) -> None:
        self._frames.send_ping(b"")
        self._write()

    def _write(self) -> None:
        """What the protocol has for the client, then its end where it comes to one."""
        for data in self._frames.data_to_send():
            if data:
                self.transport.write(data)
            elif self._frames.close_rcvd is not None or not self.transport.can_write_eof():
                self._close()
            else:  # it broke the rules: closed at once, it might not get to see why
                self.transport.write_eof()
                self._pulse.end_soon()
        if not self._is_clogged:
            self._outbox.gone()

    def pause_writing(self) -> None:
        self._is_clogged = True

    def resume_writing(self) -> None:
        self._is_clogged = False
        self._outbox.gone()
        self._flush()
        if self._is_open:
            self._digest()

    # -- what comes ----------------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        self._pulse.feel()
        self._arrived += data
        if self._is_open:
            self._digest()
        elif len(self._arrived) > _EARLY_BYTES and not self.transport.is_closing():
            self.transport.pause_reading()

    @property
    def _is_sated(self) -> bool:
        """Whether what came before has to be handled first."""
        return self._end is None and (
            len(self._inbox) > self._reception.bounds.unheard_max
            or self.transport.get_write_buffer_size() > self._outbox.kept_bytes + _CONTROL_BYTES
        )

    def _digest(self) -> None:
        """Take a piece of what has arrived apart."""
        if self._is_digesting or self._is_lost:
            return
        if self._arrived and not self._is_sated:
            piece = bytes(self._arrived[:_PIECE_BYTES])
            del self._arrived[:_PIECE_BYTES]
            self._frames.receive_data(piece)
            self._take_events()
            if self._arrived:
                self._is_digesting = True
                self._reception.loop.call_soon(self._digest_more)
        self._keep_account()
        if self.transport.is_closing():
            self._arrived.clear()
        elif self._arrived:
            self.transport.pause_reading()
        else:
            self.transport.resume_reading()

    def _digest_more(self) -> None:
        self._is_digesting = False
        self._digest()

    def _take_events(self) -> None:
        for event in self._frames.events_received():
            if isinstance(event, Frame) and not self._is_parting and self._end is None:
                self._take(event)
        if self._frames.close_sent is not None and self._frames.close_rcvd is None and self._end is None:
            self._ends(Farewell(self._frames.close_sent.code, self._frames.close_sent.reason))  # it broke the rules
        if self._frames.close_rcvd is not None:
            self._ends(Farewell(self._frames.close_rcvd.code, self._frames.close_rcvd.reason))
        self._write()

    def _take(self, frame: Frame) -> None:
        try:
            self._inbox.take(frame)
        except UnicodeDecodeError:
            self._fail(NO_TEXT, "a text is not UTF-8")
        else:
            self._stirred.set()

    async def _hand_over(self, connection: str) -> None:
        """Every message to the front, until it has ended and there is none left."""
        while True:
            if not self._inbox:
                if self._end is not None:
                    return
                self._stirred.clear()
                await self._stirred.wait()
                continue
            farewell = await self._reception.front.heard(connection, self._inbox.next())
            if farewell is not None:
                self._inbox.clear()
                self.part(farewell)
            self._digest()

    def _keep_account(self) -> None:
        """Of what this one holds of the room that all have."""
        if self._end is not None:
            return
        now = len(self._arrived) + len(self._frames.reader.buffer) + self._inbox.size_bytes
        if self._reception.hold(now - self._held_bytes):
            self._held_bytes = now
        else:
            self._fail(TRY_LATER, HOLD_TOO_MUCH)
            self._forget()

    def _forget(self) -> None:
        self._arrived.clear()
        self._inbox.clear()
        self._reception.hold(-self._held_bytes)
        self._held_bytes = 0


def _check(seat: Seat, handshake: Handshake, reception: Reception) -> None:
    """Raise ``InternalError`` for what only a bug of the front explains."""
    if seat.protocol is not None and seat.protocol not in handshake.protocols:
        raise InternalError(f"a WebSocket was given the subprotocol {seat.protocol!r}, which was not offered")
    if seat.connection in reception.websockets:
        raise InternalError(f"two WebSockets were given the id {seat.connection}")
