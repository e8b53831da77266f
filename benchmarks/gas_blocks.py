"""The blocks of `gas_costs.py`: code that spends gas on little else than one thing.

Most are one transaction to a contract that repeats a piece of code until its gas is nearly gone, then
stops: what it wrote stays written and has to be hashed. The inputs are those that take longest for
their gas, as far as we know them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.conformance.differential.assembly import OPCODES, push
from tests.conformance.differential.case import Authorization

MILLION = 1_000_000
WORD = (1 << 256) - 1
CALLEE = b"\xca" * 20
CALLEE_NUMBER = int.from_bytes(CALLEE, "big")
OR_FAIL = b"\x15\x5f\x57"  # fails the transaction where a zero is on the stack: 0 is no JUMPDEST

Sent = tuple[
    bytes | None, bytes, int, tuple[tuple[bytes, tuple[int, ...]], ...], tuple[Authorization, ...]
]


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockFiller:
    """`accounts` are address -> (balance, code). `transactions` replaces the one call of the contract.

    `fails`: the transaction is meant to run out of gas.
    """

    name: str
    code: bytes = b""
    data: bytes = b""
    gas: int = MILLION
    storage: Mapping[int, int] = field(default_factory=dict)
    accounts: Mapping[bytes, tuple[int, bytes]] = field(default_factory=dict)
    transactions: tuple[Sent, ...] = ()
    fails: bool = False

    def sent(self) -> tuple[Sent, ...]:
        return self.transactions or ((None, self.data, self.gas, (), ()),)


def ops(text: str) -> bytes:
    """Code from mnemonics and decimal numbers (pushed): "1 DUP1 ADD"."""
    out = b""
    for token in text.split():
        if token.isdigit():
            out += push(int(token))
        elif token.startswith("DUP"):
            out += bytes([0x7F + int(token[3:])])
        elif token.startswith("SWAP"):
            out += bytes([0x8F + int(token[4:])])
        elif token.startswith("LOG"):
            out += bytes([0xA0 + int(token[3:])])
        else:
            out += OPCODES[token]
    return out


def repeat(body: bytes, *, before: bytes = b"", reserve: int = 60_000, most: int = 2000) -> bytes:
    """`before`, then `body` over and over until less than `reserve` gas is left.

    One turn of the loop must cost less than `reserve`: `most` bytes of bodies are in it.
    """
    start = push(len(before)) if len(before) < 256 else b"\x61" + len(before).to_bytes(2, "big")
    turns = max(1, most // len(body))
    return before + b"\x5b" + body * turns + ops(f"{reserve} GAS GT") + start + b"\x57\x00"


def plain() -> BlockFiller:
    """Plain computation: the arithmetic, comparisons and stack work of a compiled loop."""
    body = ops("DUP1 1103515245 MUL 12345 ADD 2147483647 SWAP1 MOD XOR")
    body += ops("DUP1 7 SHR XOR DUP1 1000000 GT ISZERO POP")
    return BlockFiller(name="plain computation", code=repeat(body, before=ops("12345"), most=200))
