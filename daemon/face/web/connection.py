"""A connection that is not held for ever: by anyone who sends no request, or does not read its answer."""

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

REQUEST_WITHIN = 10.0
"""Seconds from the first byte of a request, or from connecting, to its last one."""
READ_WITHIN = 60.0
"""Seconds in which anyone who asked takes some of an answer that waits for them."""
_TOO_LATE = b"no whole request came in time\n"
_HEAD = b"HTTP/1.1 408 Request Timeout\r\ncontent-type: text/plain\r\nconnection: close\r\ncontent-length: %d\r\n\r\n"


class Connection(H11Protocol):
    """Uvicorn's, with two limits that it does not have: a few who do nothing would keep everybody else away."""

    _request: asyncio.TimerHandle | None = None
    _reading: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as Uvicorn has it
        """Wait for a request."""
        super().connection_made(transport)
        self._wait_for_request()

    def data_received(self, data: bytes) -> None:
        """Take a part of a request; the time for all of it runs on."""
        super().data_received(data)
        if self.conn.their_state in {h11.IDLE, h11.SEND_BODY}:
            self._wait_for_request()
        elif self._request is not None:
            self._request.cancel()
            self._request = None

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing any more."""
        for timer in (self._request, self._reading):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Wait for the other side to read."""
        super().pause_writing()
        self._wait_for_reader()

    def resume_writing(self) -> None:
        """Go on: it has read."""
        super().resume_writing()
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None

    def timeout_keep_alive_handler(self) -> None:
        """Close, once what was sent is read."""
        super().timeout_keep_alive_handler()
        self._wait_for_reader()

    def _wait_for_request(self) -> None:
        self._request = self._request or self.loop.call_later(REQUEST_WITHIN, self._give_up)

    def _wait_for_reader(self) -> None:
        self._reading = self._reading or self.loop.call_later(READ_WITHIN, self.transport.abort)

    def _give_up(self) -> None:
        if self.transport.is_closing():
            return
        if self.conn.our_state is h11.IDLE:  # else there is an answer under way
            self.transport.write(_HEAD % len(_TOO_LATE) + _TOO_LATE)
        self.transport.close()
        self._wait_for_reader()
