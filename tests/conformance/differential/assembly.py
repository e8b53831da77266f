"""EVM code as a list of pieces that can be taken apart again: what the generator makes and the shrinker cuts.

A piece is raw bytes (an instruction with its push data), a `Label` (a JUMPDEST), a `Goto` (a push of a
label's offset), or a push of where a block of data lies or how long it is. Data follow the code and may
be code themselves (init code). Whatever pieces are removed, the rest assembles: a label or a block that
is gone has offset 0xffff.
"""

from dataclasses import dataclass, field
from typing import TypeAlias

MISSING = 0xFFFF
PUSH2 = b"\x61"


@dataclass(frozen=True, slots=True)
class Label:
    name: int


@dataclass(frozen=True, slots=True)
class Goto:
    label: int


@dataclass(frozen=True, slots=True)
class DataOffset:
    block: int


@dataclass(frozen=True, slots=True)
class DataSize:
    block: int


Piece: TypeAlias = bytes | Label | Goto | DataOffset | DataSize


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """`data` are the blocks that follow the code: bytes, or programs."""

    pieces: tuple[Piece, ...] = ()
    data: "tuple[bytes | Program, ...]" = field(default=())


def assemble(program: Program) -> bytes:
    offset = 0
    labels: dict[int, int] = {}
    for piece in program.pieces:
        if isinstance(piece, Label):
            labels[piece.name] = offset
            offset += 1
        else:
            offset += len(piece) if isinstance(piece, bytes) else 3
    blocks = [assemble(b) if isinstance(b, Program) else b for b in program.data]
    starts = []
    for block in blocks:
        starts.append(offset)
        offset += len(block)
    out = bytearray()
    for piece in program.pieces:
        if isinstance(piece, bytes):
            out += piece
        elif isinstance(piece, Label):
            out += b"\x5b"
        elif isinstance(piece, Goto):
            out += PUSH2 + _short(labels.get(piece.label, MISSING))
        elif isinstance(piece, DataOffset):
            known = piece.block < len(blocks)
            out += PUSH2 + _short(starts[piece.block] if known else MISSING)
        else:
            known = piece.block < len(blocks)
            out += PUSH2 + _short(len(blocks[piece.block]) if known else 0)
    for block in blocks:
        out += block
    return bytes(out)


def _short(value: int) -> bytes:
    return min(value, MISSING).to_bytes(2, "big")


def push(value: int) -> bytes:
    """The shortest push of `value` (PUSH0 for zero)."""
    size = (value.bit_length() + 7) // 8
    return bytes([0x5F + size]) + value.to_bytes(size, "big")


_NAMES = {
    0x00: "STOP", 0x01: "ADD", 0x02: "MUL", 0x03: "SUB", 0x04: "DIV", 0x05: "SDIV", 0x06: "MOD",
    0x07: "SMOD", 0x08: "ADDMOD", 0x09: "MULMOD", 0x0A: "EXP", 0x0B: "SIGNEXTEND", 0x10: "LT",
    0x11: "GT", 0x12: "SLT", 0x13: "SGT", 0x14: "EQ", 0x15: "ISZERO", 0x16: "AND", 0x17: "OR",
    0x18: "XOR", 0x19: "NOT", 0x1A: "BYTE", 0x1B: "SHL", 0x1C: "SHR", 0x1D: "SAR",
    0x20: "KECCAK256", 0x30: "ADDRESS", 0x31: "BALANCE", 0x32: "ORIGIN", 0x33: "CALLER",
    0x34: "CALLVALUE", 0x35: "CALLDATALOAD", 0x36: "CALLDATASIZE", 0x37: "CALLDATACOPY",
    0x38: "CODESIZE", 0x39: "CODECOPY", 0x3A: "GASPRICE", 0x3B: "EXTCODESIZE",
    0x3C: "EXTCODECOPY", 0x3D: "RETURNDATASIZE", 0x3E: "RETURNDATACOPY", 0x3F: "EXTCODEHASH",
    0x40: "BLOCKHASH", 0x41: "COINBASE", 0x42: "TIMESTAMP", 0x43: "NUMBER", 0x44: "PREVRANDAO",
    0x45: "GASLIMIT", 0x46: "CHAINID", 0x47: "SELFBALANCE", 0x48: "BASEFEE", 0x49: "BLOBHASH",
    0x4A: "BLOBBASEFEE", 0x50: "POP", 0x51: "MLOAD", 0x52: "MSTORE", 0x53: "MSTORE8",
    0x54: "SLOAD", 0x55: "SSTORE", 0x56: "JUMP", 0x57: "JUMPI", 0x58: "PC", 0x59: "MSIZE",
    0x5A: "GAS", 0x5B: "JUMPDEST", 0x5C: "TLOAD", 0x5D: "TSTORE", 0x5E: "MCOPY", 0xF0: "CREATE",
    0xF1: "CALL", 0xF2: "CALLCODE", 0xF3: "RETURN", 0xF4: "DELEGATECALL", 0xF5: "CREATE2",
    0xFA: "STATICCALL", 0xFD: "REVERT", 0xFE: "INVALID", 0xFF: "SELFDESTRUCT",
}  # fmt: skip
OPCODES = {name: bytes([code]) for code, name in _NAMES.items()}


def disassemble(code: bytes) -> list[str]:
    """One line per instruction, `offset: NAME [data]`."""
    lines = []
    at = 0
    while at < len(code):
        opcode = code[at]
        start, at = at, at + 1
        if 0x5F <= opcode <= 0x7F:
            width = opcode - 0x5F
            data = code[at : at + width].hex()
            text = f"PUSH{width}" + (f" 0x{data}" if data else "")
            at += width
        elif 0x80 <= opcode <= 0x8F:
            text = f"DUP{opcode - 0x7F}"
        elif 0x90 <= opcode <= 0x9F:
            text = f"SWAP{opcode - 0x8F}"
        elif 0xA0 <= opcode <= 0xA4:
            text = f"LOG{opcode - 0xA0}"
        else:
            text = _NAMES.get(opcode, f"0x{opcode:02x}")
        lines.append(f"{start:04x}: {text}")
    return lines
