"""Places for connections of peers that are not of our network."""

from __future__ import annotations

from collections import OrderedDict

import trio

from p2p.errors import LinkLost
from p2p.session import Session


class Strangers:
    """`places` for them; if all are taken, a new one gets the place of the one that has asked for nothing for
    longest.

    A stranger that asks for nothing for `idle` seconds is disconnected anyway.
    """

    def __init__(self, *, places: int, idle: float) -> None:
        self.places = places
        self.connections = 0
        """Connections that were given a place since the start."""
        self._idle = idle
        self._scopes: OrderedDict[trio.CancelScope, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._scopes)

    async def keep(self, session: Session) -> None:
        """Keep a connection for as long as it has a place, then raise `LinkLost`."""
        self.connections += 1
        if len(self._scopes) >= self.places:
            self._scopes.popitem(last=False)[0].cancel()
        with trio.CancelScope(deadline=trio.current_time() + self._idle) as scope:
            self._scopes[scope] = None

            def asked() -> None:
                if scope in self._scopes:
                    self._scopes.move_to_end(scope)
                    scope.deadline = trio.current_time() + self._idle

            session.inbound.on_asked = asked
            try:
                await trio.sleep_forever()
            finally:
                self._scopes.pop(scope, None)
        raise LinkLost("its place is another's, or it asked for nothing")
