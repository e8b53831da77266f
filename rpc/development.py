"""The part of the port that development methods ask. They change state as no transaction can."""

from typing import Any, Protocol

from rpc.wire import CallRequest


class DevBackend(Protocol):
    """What changes something returns once a block of the network's chain contains it, or raises `RpcError`."""

    @property
    def off(self) -> str | None:
        """Why there are no development methods here; None where there are. Nothing else is asked then."""

    async def set_balance(self, address: bytes, wei: int) -> None: ...

    async def add_balance(self, address: bytes, wei: int) -> None: ...

    async def set_nonce(self, address: bytes, nonce: int) -> None: ...

    async def set_code(self, address: bytes, code: bytes) -> None: ...

    async def set_storage(self, address: bytes, slot: int, value: int) -> None: ...

    async def mine(self, scope: int | None, blocks: int, interval: int) -> None:
        """`blocks` blocks of the shard, or of every shard, one after the other. With an `interval` the clock
        goes ahead that many seconds with each."""

    async def increase_time(self, seconds: int) -> int:
        """Put the clock of all shards ahead; by how many seconds it is then."""

    async def set_time(self, timestamp: int) -> None:
        """The clock of all shards goes on from this second, which lies ahead."""

    async def snapshot(self) -> int:
        """The name of what the whole network is now."""

    async def revert(self, snapshot: int) -> bool:
        """Make the network what it was then, for all; False if there is no such snapshot, or no longer. What
        else is under way begins anew afterwards; this call outlives it."""

    async def impersonate(self, address: bytes, on: bool) -> None: ...

    async def impersonate_all(self, on: bool) -> None: ...

    async def send_unsigned(self, scope: int | None, request: CallRequest) -> bytes:
        """The hash of a transaction under a sender that need not be impersonated otherwise."""

    async def set_log_level(self, level: str) -> str:
        """What this node's log says from now on; the level that it had. Raises `InvalidParams`."""

    async def node_info(self, scope: int | None) -> dict[str, Any]:
        """What anvil says of itself, ready for JSON."""

    async def metadata(self, scope: int | None) -> dict[str, Any]:
        """What hardhat says of itself, ready for JSON."""
