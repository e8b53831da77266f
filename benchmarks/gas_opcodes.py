"""Blocks full of one opcode that is no call, creation or precompile."""

from benchmarks.gas_blocks import CALLEE, CALLEE_NUMBER, WORD, BlockFiller, ops, repeat
from tests.conformance.differential.assembly import push

BIG = 0xF123456789ABCDEF_F123456789ABCDEF_F123456789ABCDEF_F123456789ABCDEF
ODD = 0x8000000000000000_0000000000000000_FFFFFFFFFFFFFFFF_FFFFFFFFFFFFFFF1
_BINARY = (
    *("ADD", "MUL", "SUB", "DIV", "SDIV", "MOD", "SMOD", "SIGNEXTEND", "LT", "GT", "SLT", "SGT"),
    *("EQ", "AND", "OR", "XOR", "BYTE", "SHL", "SHR", "SAR"),
)
_ENVIRONMENT = (
    *("ADDRESS", "ORIGIN", "CALLER", "CALLVALUE", "CALLDATASIZE", "CODESIZE", "GASPRICE"),
    *("RETURNDATASIZE", "COINBASE", "TIMESTAMP", "NUMBER", "PREVRANDAO", "GASLIMIT", "CHAINID"),
    *("SELFBALANCE", "BASEFEE", "BLOBBASEFEE", "PC", "MSIZE", "GAS"),
)
PLAIN_ACCOUNTS = 2000
FIRST_PLAIN = 0x1000


def simple_fillers() -> list[BlockFiller]:
    made = {}
    operands = push(ODD) + push(BIG)
    for name in _BINARY:
        made[name] = (operands, ops(f"DUP2 DUP2 {name} POP"))
    for name in ("BYTE", "SIGNEXTEND", "SHL", "SHR", "SAR"):
        made[f"{name} by 7"] = (push(WORD) + ops("7"), ops(f"DUP2 DUP2 {name} POP"))
    # a quotient by a number of half the length takes the longest
    for name in ("DIV", "SDIV", "MOD", "SMOD"):
        made[f"{name} by 128 bits"] = (
            push(WORD >> 129) + push(WORD >> 1),
            ops(f"DUP2 DUP2 {name} POP"),
        )
    made["ADDMOD"] = (push(ODD) + push(WORD) + push(BIG), ops("DUP3 DUP3 DUP3 ADDMOD POP"))
    made["MULMOD"] = (push(ODD) + push(WORD) + push(BIG), ops("DUP3 DUP3 DUP3 MULMOD POP"))
    made["EXP with 1 byte"] = (push(255) + push(BIG), ops("DUP2 DUP2 EXP POP"))
    made["EXP with 32 bytes"] = (push(WORD) + push(BIG), ops("DUP2 DUP2 EXP POP"))
    for name in ("ISZERO", "NOT"):
        made[name] = (push(BIG), ops(f"DUP1 {name} POP"))
    for name in _ENVIRONMENT:
        made[name] = (b"", ops(f"{name} POP"))
    made["BLOCKHASH"] = (b"", ops("900 BLOCKHASH POP"))
    made["BLOBHASH"] = (b"", ops("0 BLOBHASH POP"))
    made["CALLDATALOAD"] = (b"", ops("3 CALLDATALOAD POP"))
    for width in range(33):
        made[f"PUSH{width}"] = (b"", bytes([0x5F + width]) + b"\xa5" * width + b"\x50")
    sixteen = push(BIG) * 17
    for index in range(1, 17):
        made[f"DUP{index}"] = (sixteen, ops(f"DUP{index} POP"))
        made[f"SWAP{index}"] = (sixteen, ops(f"SWAP{index}"))
    made["JUMPDEST"] = (b"", b"\x5b")
    made["MLOAD"] = (ops("1 1000 MSTORE"), ops("3 MLOAD POP"))
    made["MSTORE"] = (push(BIG), ops("DUP1 3 MSTORE"))
    made["MSTORE8"] = (push(BIG), ops("DUP1 3 MSTORE8"))
    made["TLOAD"] = (push(BIG), ops("DUP1 TLOAD POP"))
    made["TSTORE"] = (push(1), ops("DUP1 DUP1 TSTORE 1 ADD"))
    made["SLOAD, warm"] = (b"", ops("7 SLOAD POP"))
    made["SLOAD, cold"] = (push(1), ops("DUP1 SLOAD POP 1 ADD"))
    made["SSTORE, no change"] = (b"", ops("1 7 SSTORE"))
    made["SSTORE, dirty"] = (push(1), ops("DUP1 7 SSTORE 1 ADD"))
    made["SSTORE, new slots"] = (push(1 << 40), ops("DUP1 DUP1 SSTORE 1 ADD"))
    made["SSTORE, other value"] = (push(1), ops("DUP1 256 ADD DUP2 SSTORE 1 ADD"))
    made["SSTORE, cleared"] = (push(1), ops("0 DUP2 SSTORE 1 ADD"))
    for size in (0, 32, 136, 1000, 30_000):
        made[f"KECCAK256 of {size}"] = (ops("1 30000 MSTORE"), ops(f"{size} 0 KECCAK256 POP"))
    for size in (0, 32, 1000, 20_000):
        grow = ops("1 20000 MSTORE")
        made[f"MCOPY of {size}"] = (grow, ops(f"{size} 31 0 MCOPY"))
        made[f"CALLDATACOPY of {size}"] = (grow, ops(f"{size} 1 0 CALLDATACOPY"))
        made[f"CODECOPY of {size}"] = (grow, ops(f"{size} 1 0 CODECOPY"))
        made[f"EXTCODECOPY of {size}"] = (
            grow + push(CALLEE_NUMBER),
            ops(f"{size} 1 0 DUP4 EXTCODECOPY"),
        )
        made[f"RETURNDATACOPY of {size}"] = (
            grow + ops("0 0 20000 0 4 GAS STATICCALL POP"), ops(f"{size} 0 0 RETURNDATACOPY"),
        )  # fmt: skip
    for topics in range(5):
        made[f"LOG{topics}"] = (b"", ops("7 " * topics + f"0 0 LOG{topics}"))
    made["LOG0 of 1000"] = (b"", ops("1000 0 LOG0"))
    for name in ("BALANCE", "EXTCODESIZE", "EXTCODEHASH"):
        made[f"{name}, warm"] = (push(CALLEE_NUMBER), ops(f"DUP1 {name} POP"))
        made[f"{name}, cold"] = (push(FIRST_PLAIN), ops(f"DUP1 {name} POP 1 ADD"))
    slots = {n: n for n in range(1, 1000)}
    accounts = {CALLEE: (0, b"\0" * 24_576)}
    accounts |= {(FIRST_PLAIN + n).to_bytes(20, "big"): (1, b"") for n in range(PLAIN_ACCOUNTS)}
    return [
        BlockFiller(
            name=name,
            code=repeat(body, before=before, most=_bytes_per_turn(name)),
            storage=slots if name.startswith(("SLOAD", "SSTORE")) else {},
            accounts=accounts if name.split()[0] in _NEEDS_ACCOUNTS else {},
        )
        for name, (before, body) in made.items()
    ]


_NEEDS_ACCOUNTS = ("EXTCODECOPY", "BALANCE,", "EXTCODESIZE,", "EXTCODEHASH,")


def _bytes_per_turn(name: str) -> int:
    """Bytes of repeated bodies: what costs thousands of gas must leave before the reserve is gone."""
    dear = ("SSTORE", "SLOAD", "LOG", "EXP", "KECCAK", "COPY", "cold", "TSTORE", "TLOAD")
    return 12 if any(word in name for word in dear) else 1500
