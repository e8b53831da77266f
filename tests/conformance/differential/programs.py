"""Random programs that get somewhere: statements with the right stack, and noise that has it not.

A program is a list of statements. Each leaves the stack as it found it, except where it is meant not to,
and puts what it computed into memory, whose hash a program stores at its end: a wrong result anywhere
becomes a wrong state root. Loops count down, calls lead to the case's other contracts.
"""

from random import Random

from tests.conformance.differential.assembly import (
    OPCODES,
    DataSize,
    Goto,
    Label,
    Program,
)
from tests.conformance.differential.inputs import GENERATORS, WEIGHTS, precompile_input
from tests.conformance.differential.writer import (
    ENVIRONMENT,
    INPUT,
    SCRATCH,
    WORD,
    Writer,
    interesting,
)

_UNARY = ("ISZERO", "NOT")
_BINARY = [
    *("ADD", "MUL", "SUB", "DIV", "SDIV", "MOD", "SMOD", "EXP", "SIGNEXTEND", "LT", "GT", "SLT"),
    *("SGT", "EQ", "AND", "OR", "XOR", "BYTE", "SHL", "SHR", "SAR"),
]
_TERNARY = ("ADDMOD", "MULMOD")
_OF_ADDRESS = ("BALANCE", "EXTCODESIZE", "EXTCODEHASH")


class Statements(Writer):
    """The statements that programs are made of."""

    def arithmetic(self) -> None:
        for _ in range(self.rng.randrange(1, 4)):
            kind = self.rng.randrange(10)
            if kind == 0:
                self.operand()
                self.op(self.rng.choice(_UNARY))
            elif kind < 8:
                self.operand()
                self.operand()
                self.op(self.rng.choice(_BINARY))
            else:
                for _ in range(3):
                    self.operand()
                self.op(self.rng.choice(_TERNARY))
            self.keep()

    def environment(self) -> None:
        kind = self.rng.randrange(6)
        if kind < 3:
            self.op(self.rng.choice(ENVIRONMENT))
        elif kind < 5:
            self.address()
            self.op(self.rng.choice(_OF_ADDRESS))
        elif self.rng.random() < 0.5:
            self.push(self.rng.choice((0, 1, 743, 744, 998, 999, 1000, 1001, WORD)))
            self.op("BLOCKHASH")
        else:
            self.push(interesting(self.rng))
            self.op("BLOBHASH")
        self.keep()

    def storage(self) -> None:
        for _ in range(self.rng.randrange(1, 4)):
            kind = self.rng.randrange(7)
            if kind < 4:
                if self.rng.random() < 0.5:
                    self.push(self.rng.choice((0, 0, 1, 2, WORD)))
                else:
                    self.operand()
                self.push(self.slot())
                self.op("SSTORE" if kind < 3 else "TSTORE")
            else:
                self.push(self.slot())
                self.op("SLOAD" if kind < 6 else "TLOAD")
                self.keep()

    def memory(self) -> None:
        kind = self.rng.randrange(8)
        at, size = self.region()
        if kind == 0:
            self.operand()
            self.push(at)
            self.op(self.rng.choice(("MSTORE", "MSTORE8")))
        elif kind == 1:
            self.push(at)
            self.op("MLOAD")
            self.keep()
        elif kind == 2:
            self.push(size, self.region()[0], at)
            self.op("MCOPY")
        elif kind == 3:
            self.push(size, self.rng.choice((0, 1, 32, interesting(self.rng))), at)
            self.op(self.rng.choice(("CALLDATACOPY", "CODECOPY")))
        elif kind == 4:
            self.push(size, self.rng.choice((0, 1, 5, interesting(self.rng))), at)
            self.address()
            self.op("EXTCODECOPY")
        elif kind == 5:
            self.push(self.rng.choice((0, 0, 1, 32)), self.rng.choice((0, 0, 1)), at)
            self.op("RETURNDATACOPY")
        else:
            self.push(size, at)
            self.op("KECCAK256")
            self.keep()

    def log(self) -> None:
        topics = self.rng.randrange(5)
        for _ in range(topics):
            self.operand()
        self.span()
        self.pieces.append(bytes([0xA0 + topics]))

    def shuffle(self) -> None:
        """Stack work: deep DUPs and SWAPs over values that are put there first."""
        count = self.rng.randrange(2, 18)
        for _ in range(count):
            self.push(interesting(self.rng))
        for _ in range(self.rng.randrange(1, 6)):
            if self.rng.random() < 0.5:
                self.pieces.append(bytes([0x80 + self.rng.randrange(min(count, 16))]))
                count += 1
            else:
                self.pieces.append(bytes([0x90 + self.rng.randrange(min(count - 1, 16))]))
        for _ in range(count):
            if self.rng.random() < 0.4:
                self.keep()
            else:
                self.op("POP")

    def call(self) -> None:
        name = self.rng.choice(("CALL", "CALL", "CALL", "CALLCODE", "DELEGATECALL", "STATICCALL"))
        self.span()
        self.span()
        if name in ("CALL", "CALLCODE"):
            self.push(self.rng.choice((0, 0, 0, 1, 7, 1 << 70, WORD)))
        self.address()
        self.call_gas()
        self.op(name)
        self.after_call()

    def precompile(self) -> None:
        numbers = tuple(GENERATORS)
        number = self.rng.choices(numbers, [WEIGHTS[n] for n in numbers])[0]
        block = self.block(precompile_input(self.rng, number))
        self.place(block)
        name = self.rng.choice(("CALL", "STATICCALL", "STATICCALL", "DELEGATECALL", "CALLCODE"))
        self.push(self.rng.choice((0, 32, 64, 128)), self.rng.randrange(0, 0x100))
        self.pieces.append(DataSize(block))
        self.push(INPUT)
        if name in ("CALL", "CALLCODE"):
            self.push(self.rng.choice((0, 0, 0, 1)))
        self.push(number)
        if self.rng.random() < 0.93:
            self.op("GAS")
        else:
            self.push(self.rng.choice((0, 15, 59, 60, 150, 200, 3000, 6000, 50_000)))
        self.op(name)
        self.after_call()

    def create(self) -> None:
        if self.depth >= 2:
            return self.arithmetic()
        block = self.block(init_code(self.rng, self.targets, self.depth + 1))
        second = self.rng.random() < 0.5
        self.place(block)
        if second:
            self.push(self.rng.choice((0, 0, 0, 1)))
        self.pieces.append(DataSize(block))
        self.push(INPUT, self.rng.choice((0, 0, 0, 1, 5, 1 << 80)))
        self.op("CREATE2" if second else "CREATE")
        if self.rng.random() < 0.5:
            self.call_created()
        else:
            self.after_call()
        return None

    def call_created(self) -> None:
        """Call what is on the top of the stack; its result is kept."""
        self.span()
        self.span()
        self.push(self.rng.choice((0, 0, 3)))
        self.pieces.append(bytes([0x85]))  # DUP6: the created address
        self.call_gas()
        self.op("CALL")
        self.after_call()
        self.keep()

    def loop(self) -> None:
        start = self.label()
        self.push(self.rng.randrange(1, 12))
        self.pieces.append(Label(start))
        for _ in range(self.rng.randrange(1, 3)):
            self.rng.choice((self.arithmetic, self.storage, self.memory, self.log))()
        self.push(1)
        self.pieces.append(b"\x90")  # SWAP1
        self.op("SUB")
        self.pieces += [b"\x80", Goto(start), OPCODES["JUMPI"]]
        self.op("POP")

    def branch(self) -> None:
        over = self.label()
        self.operand()
        self.pieces.append(Goto(over))
        self.op("JUMPI")
        for _ in range(self.rng.randrange(1, 3)):
            self.statement()
        self.pieces.append(Label(over))

    def jump_somewhere(self) -> None:
        """A computed jump: to a label, into push data, or nowhere."""
        there = self.label()
        kind = self.rng.randrange(6)
        if kind == 0:
            self.push(interesting(self.rng))
            self.op("JUMP")
            return
        self.pieces.append(Goto(there))
        if kind < 3:
            self.push(0)
            self.op("ADD")  # not a constant any more for who looks at the push before the jump
        self.op("JUMP")
        self.pieces.append(self.rng.choice((b"\xfe", b"\x60\x5b", b"\x5b", self.rng.randbytes(3))))
        self.pieces.append(Label(there))

    def guard(self, bound: int = 0) -> None:
        """Recurse into this contract up to `bound` times, counting in transient storage."""
        over = self.label()
        self.push(0xDEE)
        self.op("TLOAD")
        self.push(1)
        self.op("ADD")
        self.pieces.append(b"\x80")
        self.push(0xDEE)
        self.op("TSTORE")
        self.push(bound or self.rng.choice((2, 3, 8)))
        self.op("LT")
        self.pieces.append(Goto(over))
        self.op("JUMPI")
        self.push(32, 0, 32, 0)
        name = self.rng.choice(("CALL", "CALL", "DELEGATECALL", "STATICCALL", "CALLCODE"))
        if name in ("CALL", "CALLCODE"):
            self.push(0)
        self.op("ADDRESS", "GAS", name)
        self.after_call()
        self.pieces.append(Label(over))

    def overflow(self) -> None:
        start = self.label()
        self.push(0)
        self.pieces.append(Label(start))
        self.push(*([1] * self.rng.choice((1, 7, 16))))
        self.pieces += [Goto(start), OPCODES["JUMP"]]

    def noise(self) -> None:
        self.pieces.append(self.rng.randbytes(self.rng.choice((1, 1, 2, 5))))

    def destroy(self) -> None:
        self.address()
        self.op("SELFDESTRUCT")

    def statement(self) -> None:
        kinds, weights = _statements(self)
        self.rng.choices(kinds, weights)[0]()

    # -- the end

    def remember(self) -> None:
        """Store the hash of the scratch memory, or log it where that is cheaper."""
        self.push(SCRATCH, 0)
        self.op("KECCAK256")
        if self.rng.random() < 0.7:
            self.push(0xEAD)
            self.op("SSTORE")
        else:
            self.push(0, 0)
            self.pieces.append(b"\xa1")

    def end(self) -> None:
        kind = self.rng.randrange(20)
        if kind < 9:
            self.remember()
        if kind == 9:
            self.destroy()
        elif kind == 10:
            self.op("INVALID")
        elif kind < 13:
            self.span()
            self.op("REVERT")
        elif kind < 16:
            self.span()
            self.op("RETURN")
        elif kind < 18:
            self.op("STOP")

    def program(self) -> Program:
        return Program(pieces=tuple(self.pieces), data=tuple(self.data))


def _statements(writer: Statements) -> tuple[list, list[float]]:  # type: ignore[type-arg]
    table = {
        writer.arithmetic: 16.0,
        writer.environment: 8,
        writer.storage: 14,
        writer.memory: 14,
        writer.log: 4,
        writer.shuffle: 3,
        writer.call: 14,
        writer.precompile: 6,
        writer.create: 5,
        writer.loop: 4,
        writer.branch: 4,
        writer.jump_somewhere: 2,
        writer.guard: 1,
        writer.overflow: 0.15,
        writer.noise: 0.6,
        writer.destroy: 0.6,
    }
    return list(table), list(table.values())


def program(rng: Random, targets: tuple[bytes, ...], depth: int = 0) -> Program:
    """A contract's code."""
    writer = Statements(rng, targets, depth)
    if rng.random() < 0.12:
        for _ in range(rng.choice((1, 1, 2, 3))):
            writer.precompile()
        writer.remember()
        return writer.program()
    for _ in range(rng.choice((1, 2, 3, 4, 6, 9))):
        writer.statement()
    writer.end()
    return writer.program()


def init_code(rng: Random, targets: tuple[bytes, ...], depth: int = 0) -> Program:
    """Code that does something and returns code: a program, a constant, or what is no code."""
    writer = Statements(rng, targets, depth)
    for _ in range(rng.choice((0, 0, 0, 1, 2))):
        writer.statement()
    kind = rng.randrange(12)
    if kind == 0:
        writer.end()
        return writer.program()
    if kind == 1:
        content: bytes | Program = b"\xef" + rng.randbytes(3)
    elif kind == 2:
        content = b""
    elif kind == 3:
        content = OPCODES["CALLER"] + OPCODES["SELFDESTRUCT"]
    elif kind == 4:
        writer.push(rng.choice((0x6000, 0x6001, 1, 60_000)), 0)
        writer.op("RETURN")
        return writer.program()
    else:
        content = program(rng, targets, depth + 1)
    block = writer.block(content)
    writer.place(block, 0)
    writer.pieces.append(DataSize(block))
    writer.push(0)
    writer.op("RETURN")
    return writer.program()
