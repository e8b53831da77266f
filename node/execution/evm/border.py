"""The border of a shard: what execution would need an account of another shard for, and how it says so.

To the EVM an account that lives elsewhere is empty, and a call of it would succeed and return nothing. It is
refused instead, with the bytes of Solidity's `Error(string)`, which contracts pass on (docs/protocol.md,
"Placement").
"""

from functools import lru_cache

from eth_utils.address import to_checksum_address

from node.execution.evm.results import REVERTED
from node.execution.frame.frame import Frame, Vm
from node.execution.frame.pyevm import Revert

_ERROR_SELECTOR = bytes.fromhex("08c379a0")
_ADDRESS_MASK = (1 << 160) - 1
_BALANCE = 0x31


def error_string(text: str) -> bytes:
    """The ABI's `Error(string)`."""
    body = text.encode()
    words = (32).to_bytes(32, "big") + len(body).to_bytes(32, "big")
    return _ERROR_SELECTOR + words + body + bytes(-len(body) % 32)


@lru_cache(maxsize=1024)  # a call in a loop costs a hundred gas
def border_reason(address: bytes, shard: int) -> bytes:
    """The output where an account of another shard would have to be called or changed."""
    return error_string(
        f"{to_checksum_address(address)} lives on shard {shard}; reach it with MESSENGER.send"
    )


@lru_cache(maxsize=1024)
def delegate_reason(account: bytes, delegate: bytes, shard: int) -> bytes:
    """The output where an account is called that delegates (EIP-7702) to code of another shard."""
    return error_string(
        f"{to_checksum_address(account)} delegates to {to_checksum_address(delegate)}, "
        f"which lives on shard {shard}; nothing of it can run here"
    )


@lru_cache(maxsize=1024)
def unread_reason(address: bytes, shard: int, what: str) -> bytes:
    """The output where `what` an account of another shard has is asked for."""
    return error_string(
        f"{to_checksum_address(address)} lives on shard {shard}; its {what} cannot be read here"
    )


def refused_call(vm: Vm, target: bytes, delegate: bytes | None) -> bytes:
    """The output of a call that finds no code; empty where it goes on: the account lives here.

    `delegate` is the account that `target` delegates to, if it does.
    """
    if delegate is not None:
        shard = vm.elsewhere(delegate)
        return b"" if shard is None else delegate_reason(target, delegate, shard)
    shard = vm.elsewhere(target)
    return b"" if shard is None else border_reason(target, shard)


def check_read(frame: Frame, opcode: int, account: int) -> None:
    """Revert the frame if BALANCE or EXTCODECOPY asked for an account of another shard. Raises Revert."""
    address = (account & _ADDRESS_MASK).to_bytes(20, "big")
    shard = frame.vm.elsewhere(address)
    if shard is not None:
        frame._output = unread_reason(address, shard, "balance" if opcode == _BALANCE else "code")
        raise Revert(REVERTED)


def explained(frame: Frame) -> bytes:
    """The output of a REVERT without any.

    Solidity asks for the size of the code before most calls and reverts so where there is none. If the account
    that the frame looked at last, with nothing called since, lives elsewhere, the output says so.
    """
    shard = frame.vm.elsewhere(frame.looked_at) if frame.looked_at else None
    return b"" if shard is None else border_reason(frame.looked_at, shard)
