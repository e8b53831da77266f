"""Choosing TCP ports when a network is made, and checking them when it is started."""

import errno
import secrets
import socket
from collections.abc import Iterable

from node.primitives.errors import UserError

RANDOM_RANGE = range(20_000, 32_768)
"""Below what Linux gives to outgoing connections: nothing takes them by accident while we are down."""
LAST_PORT = 65_535
MAX_TRIES = 2_000


def is_free(host: str, port: int) -> bool:
    """True if a server could listen at (host, port) now. Raises UserError if `host` is not of this machine."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # TIME_WAIT is no obstacle
            probe.bind(address)
            probe.listen(1)  # two may bind with SO_REUSEADDR, but only one may listen
            return True
    except socket.gaierror as error:
        raise UserError(f"{host!r} is not a host: {error.strerror}") from None
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return False
        raise UserError(
            f"cannot listen at {host}, port {port}: {error.strerror}; choose another host or port"
        ) from None


class PortChooser:
    """Hands out ports that are free now, none of them twice."""

    def __init__(self, taken: Iterable[int] = ()) -> None:
        self._taken = set(taken)

    def fixed(self, host: str, port: int, *, key: str) -> int:
        """That port and no other. Raises UserError if it is in use; `key` says where it was asked for."""
        if port in self._taken or not is_free(host, port):
            raise UserError(
                f"port {port} of {host} is in use; stop what listens there or choose another ({key})"
            )
        self._taken.add(port)
        return port

    def next_free(self, host: str, above: int) -> int:
        """The first free port greater than `above`."""
        for port in range(above + 1, LAST_PORT + 1):
            if port not in self._taken and is_free(host, port):
                self._taken.add(port)
                return port
        raise UserError(
            f"no port of {host} above {above} is free; choose a lower one to begin with"
        )

    def random_free(self, host: str) -> int:
        """Any free port."""
        for _ in range(MAX_TRIES):
            port = secrets.choice(RANDOM_RANGE)
            if port not in self._taken and is_free(host, port):
                self._taken.add(port)
                return port
        raise UserError(
            f"no port of {host} from {RANDOM_RANGE.start} to {RANDOM_RANGE.stop - 1} was found free"
        )
