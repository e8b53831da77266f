"""Writes one program piece by piece: operands, regions of memory, blocks of data."""

from dataclasses import dataclass, field
from random import Random

from tests.conformance.differential.assembly import (
    OPCODES,
    DataOffset,
    DataSize,
    Piece,
    Program,
    push,
)

WORD = (1 << 256) - 1
SCRATCH = 0x180  # bytes of memory that statements write to and the end hashes
INPUT = 0x200  # where inputs and init code are put
ENVIRONMENT = [
    *("ADDRESS", "ORIGIN", "CALLER", "CALLVALUE", "CALLDATASIZE", "CODESIZE", "GASPRICE"),
    *("RETURNDATASIZE", "COINBASE", "TIMESTAMP", "NUMBER", "PREVRANDAO", "GASLIMIT", "CHAINID"),
    *("SELFBALANCE", "BASEFEE", "BLOBBASEFEE", "PC", "MSIZE", "GAS"),
]


def interesting(rng: Random) -> int:
    """A word: small, near a power of two, the extremes, or anything."""
    kind = rng.randrange(7)
    if kind < 3:
        return rng.choice((0, 1, 2, 3, 31, 32, 33, 255, 256, 257))
    if kind == 3:
        return WORD - rng.choice((0, 0, 1, 2, 31, 255))
    if kind == 4:
        return (
            (1 << rng.choice((8, 31, 32, 63, 64, 127, 128, 160, 255, 256))) + rng.randint(-1, 1)
        ) & WORD
    if kind == 5:
        return rng.getrandbits(rng.choice((8, 16, 64, 160, 256)))
    return (1 << 255) + rng.randint(-1, 1)


@dataclass(slots=True)
class Writer:
    """Builds one program. `targets` are addresses that calls may go to."""

    rng: Random
    targets: tuple[bytes, ...]
    depth: int = 0
    pieces: list[Piece] = field(default_factory=list)
    data: list[bytes | Program] = field(default_factory=list)
    labels: int = 0

    # -- pieces

    def op(self, *names: str) -> None:
        self.pieces += [OPCODES[name] for name in names]

    def push(self, *values: int) -> None:
        self.pieces += [push(value) for value in values]

    def label(self) -> int:
        self.labels += 1
        return self.labels

    def keep(self) -> None:
        """Put the top of the stack into the scratch memory."""
        self.push(self.rng.randrange(0, SCRATCH, 8))
        self.op("MSTORE")

    # -- operands

    def address(self) -> None:
        kind = self.rng.randrange(20)
        if kind == 0:
            self.op(self.rng.choice(("ADDRESS", "CALLER", "ORIGIN", "COINBASE")))
        elif kind == 1:
            self.push(self.rng.randrange(0, 0x14))
        elif kind == 2:
            self.push(interesting(self.rng))
        else:
            target = int.from_bytes(self.rng.choice(self.targets), "big")
            if kind == 3:
                target |= self.rng.getrandbits(96) << 160  # the upper bytes must be ignored
            self.push(target)

    def operand(self) -> None:
        kind = self.rng.randrange(12)
        if kind == 0:
            self.op(self.rng.choice(ENVIRONMENT))
        elif kind == 1:
            self.push(self.rng.choice((0, 4, 32, 1 << 255)))
            self.op("CALLDATALOAD")
        elif kind == 2:
            self.push(self.rng.randrange(0, SCRATCH))
            self.op("MLOAD")
        elif kind == 3:
            self.push(self.slot())
            self.op(self.rng.choice(("SLOAD", "TLOAD")))
        else:
            self.push(interesting(self.rng))

    def slot(self) -> int:
        return self.rng.choice((0, 0, 1, 1, 2, 3, 255, WORD))

    def region(self) -> tuple[int, int]:
        """An (offset, size) in memory: small, empty far away, or too large to pay for."""
        kind = self.rng.randrange(120)
        if kind == 0:
            return self.rng.choice((WORD, 1 << 64, 1 << 31)), 0
        if kind == 1:
            return self.rng.choice((0, WORD, 1 << 32)), self.rng.choice((1, WORD, 1 << 32))
        if kind < 5:
            return self.rng.randrange(4000), self.rng.randrange(2000)
        return self.rng.randrange(SCRATCH), self.rng.choice((0, 1, 4, 31, 32, 33, 64, 100))

    def span(self) -> None:
        """Push size, then offset: as CALL, RETURN, LOG want them."""
        at, size = self.region()
        self.push(size, at)

    # -- data and calls

    def place(self, block: int, at: int = INPUT) -> None:
        """Copy a data block into memory."""
        self.pieces.append(DataSize(block))
        self.pieces.append(DataOffset(block))
        self.push(at)
        self.op("CODECOPY")

    def block(self, content: bytes | Program) -> int:
        self.data.append(content)
        return len(self.data) - 1

    def call_gas(self) -> None:
        kind = self.rng.randrange(8)
        if kind < 5:
            self.op("GAS")
        elif kind == 5:
            self.push(self.rng.choice((0, 1, 2300, 9000, WORD)))
        else:
            self.push(self.rng.randrange(1000, 60_000))

    def after_call(self) -> None:
        self.keep()
        kind = self.rng.randrange(5)
        if kind == 0:
            self.op("RETURNDATASIZE")
            self.keep()
        elif kind == 1:
            self.op("RETURNDATASIZE")
            self.push(0, self.rng.randrange(SCRATCH))
            self.op("RETURNDATACOPY")
