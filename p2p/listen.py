"""Binding the listening address, exclusively."""

from __future__ import annotations

import errno
from collections.abc import Sequence

import trio

from p2p.errors import ListenFailed, PeerPortInUse
from p2p.types import split_address

_BACKLOG = 128


async def open_listeners(address: str) -> tuple[Sequence[trio.SocketListener], str]:
    """Listen on "host:port" (port 0: any free one); returns the listeners and the bound address.

    We bind ourselves, without SO_REUSEPORT: libp2p's own listener sets it, by which a stale node
    shares the port and takes half of the connections, and reports no failure.
    Raises `PeerPortInUse` or `ListenFailed`.
    """
    host, port = split_address(address)
    try:
        listeners = await trio.open_tcp_listeners(port, host=host, backlog=_BACKLOG)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PeerPortInUse(address) from error
        raise ListenFailed(address, error.strerror or str(error)) from error
    bound = listeners[0].socket.getsockname()[1]
    return listeners, f"{address.rpartition(':')[0]}:{bound}"
