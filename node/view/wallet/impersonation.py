"""Whom this node lets its users impersonate. In memory: a node forgets it when it ends."""

import trio

from rpc.errors import LimitExceeded

MAX_IMPERSONATED = 4096


class Impersonation:
    """A set of addresses, or everybody. `lock` is held while a nonce of one of them is given out."""

    def __init__(self) -> None:
        self._addresses: set[bytes] = set()
        self.everybody = False
        self.lock = trio.Lock()

    def covers(self, address: bytes | None) -> bool:
        return address is not None and (self.everybody or address in self._addresses)

    def start(self, address: bytes) -> None:
        if len(self._addresses) >= MAX_IMPERSONATED and address not in self._addresses:
            raise LimitExceeded(f"{MAX_IMPERSONATED} accounts are impersonated already")
        self._addresses.add(address)

    def stop(self, address: bytes) -> None:
        self._addresses.discard(address)
