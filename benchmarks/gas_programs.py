"""The blocks of `gas_costs.py`: for each opcode and precompile, code that spends gas on little else.

Most are one transaction to a contract that repeats a piece of code until its gas is nearly gone, then
stops: what it wrote stays written and has to be hashed. The inputs are those that take longest for
their gas, as far as we know them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random

from py_ecc import bn128
from py_ecc.optimized_bls12_381 import G1, G2, multiply

from benchmarks.gas_inputs import bls_point, bn_g1, bn_g2, ecrecover_input, kzg_input
from tests.conformance.differential.assembly import OPCODES, disassemble, push
from tests.conformance.differential.case import Authorization

MILLION = 1_000_000
WORD = (1 << 256) - 1
BIG = 0xF123456789ABCDEF_F123456789ABCDEF_F123456789ABCDEF_F123456789ABCDEF
ODD = 0x8000000000000000_0000000000000000_FFFFFFFFFFFFFFFF_FFFFFFFFFFFFFFF1
CALLEE = b"\xca" * 20
PLAIN_ACCOUNTS = 2000
FIRST_PLAIN = 0x1000

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
    return BlockFiller(
        name="plain computation", code=repeat(body, before=ops("12345"), most=200)
    )


def _simple() -> list[BlockFiller]:
    made = {}
    operands = push(ODD) + push(BIG)
    for name in (
        "ADD MUL SUB DIV SDIV MOD SMOD SIGNEXTEND LT GT SLT SGT EQ AND OR XOR BYTE SHL SHR SAR"
    ).split():
        made[name] = (operands, ops(f"DUP2 DUP2 {name} POP"))
    for name in ("BYTE", "SIGNEXTEND", "SHL", "SHR", "SAR"):
        made[f"{name} by 7"] = (push(WORD) + ops("7"), ops(f"DUP2 DUP2 {name} POP"))
    # a quotient by a number of half the length takes the longest
    for name in ("DIV", "SDIV", "MOD", "SMOD"):
        made[f"{name} by 128 bits"] = (push(WORD >> 129) + push(WORD >> 1), ops(f"DUP2 DUP2 {name} POP"))
    made["ADDMOD"] = (push(ODD) + push(WORD) + push(BIG), ops("DUP3 DUP3 DUP3 ADDMOD POP"))
    made["MULMOD"] = (push(ODD) + push(WORD) + push(BIG), ops("DUP3 DUP3 DUP3 MULMOD POP"))
    made["EXP with 1 byte"] = (push(255) + push(BIG), ops("DUP2 DUP2 EXP POP"))
    made["EXP with 32 bytes"] = (push(WORD) + push(BIG), ops("DUP2 DUP2 EXP POP"))
    for name in ("ISZERO", "NOT"):
        made[name] = (push(BIG), ops(f"DUP1 {name} POP"))
    for name in (
        "ADDRESS ORIGIN CALLER CALLVALUE CALLDATASIZE CODESIZE GASPRICE RETURNDATASIZE COINBASE "
        "TIMESTAMP NUMBER PREVRANDAO GASLIMIT CHAINID SELFBALANCE BASEFEE BLOBBASEFEE PC MSIZE GAS"
    ).split():
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
        made[f"EXTCODECOPY of {size}"] = (grow + push(_number(CALLEE)), ops(f"{size} 1 0 DUP4 EXTCODECOPY"))
        made[f"RETURNDATACOPY of {size}"] = (
            grow + ops("0 0 20000 0 4 GAS STATICCALL POP"), ops(f"{size} 0 0 RETURNDATACOPY"),
        )  # fmt: skip
    for topics in range(5):
        made[f"LOG{topics}"] = (b"", ops("7 " * topics + f"0 0 LOG{topics}"))
    made["LOG0 of 1000"] = (b"", ops("1000 0 LOG0"))
    for name in ("BALANCE", "EXTCODESIZE", "EXTCODEHASH"):
        made[f"{name}, warm"] = (push(_number(CALLEE)), ops(f"DUP1 {name} POP"))
        made[f"{name}, cold"] = (push(FIRST_PLAIN), ops(f"DUP1 {name} POP 1 ADD"))
    slots = {n: n for n in range(1, 1000)}
    accounts = {CALLEE: (0, b"\0" * 24_576)}
    accounts |= {(FIRST_PLAIN + n).to_bytes(20, "big"): (1, b"") for n in range(PLAIN_ACCOUNTS)}
    return [
        BlockFiller(
            name=name,
            code=repeat(body, before=before, most=_bytes_per_turn(name)),
            storage=slots if name.startswith("SLOAD") or name.startswith("SSTORE") else {},
            accounts=accounts if name.split()[0] in _NEEDS_ACCOUNTS else {},
        )
        for name, (before, body) in made.items()
    ]


_NEEDS_ACCOUNTS = ("EXTCODECOPY", "BALANCE,", "EXTCODESIZE,", "EXTCODEHASH,")


def _number(address: bytes) -> int:
    return int.from_bytes(address, "big")


def _bytes_per_turn(name: str) -> int:
    """Bytes of repeated bodies: what costs thousands of gas must leave before the reserve is gone."""
    dear = ("SSTORE", "SLOAD", "LOG", "EXP", "KECCAK", "COPY", "cold", "TSTORE", "TLOAD")
    return 12 if any(word in name for word in dear) else 1500


# -- calls and creations


def _calls() -> list[BlockFiller]:
    callee = _number(CALLEE)
    stop = {CALLEE: (0, b"\0")}
    empty = {CALLEE: (1, b"")}
    reverts = {CALLEE: (0, ops("0 0 REVERT"))}
    made = []
    for name in ("CALL", "CALLCODE", "DELEGATECALL", "STATICCALL"):
        value = "0 " if name in ("CALL", "CALLCODE") else ""
        body = ops(f"0 0 0 0 {value}") + push(callee) + ops(f"GAS {name} POP")
        for kind, accounts in (("code", stop), ("no code", empty), ("a revert", reverts)):
            made.append(
                BlockFiller(
                    name=f"{name} to {kind}", code=repeat(body, most=300), accounts=accounts
                )
            )
    with_value = ops("0 0 0 0 1") + push(callee) + ops("GAS CALL POP")
    made.append(BlockFiller(name="CALL with value", code=repeat(with_value, most=60), accounts=stop))
    fresh = ops("0 0 0 0 1 DUP6 GAS CALL POP 1 ADD")
    made.append(
        BlockFiller(name="CALL that creates accounts", code=repeat(fresh, before=push(1 << 80), most=12))
    )
    cold = ops("0 0 0 0 0 DUP6 GAS CALL POP 1 ADD")
    made.append(BlockFiller(name="CALL, cold", code=repeat(cold, before=push(1 << 80), most=12)))
    writes = {CALLEE: (0, ops("1 CALLDATASIZE SSTORE 0 0 REVERT"))}
    body = ops("0 0 0 0 0") + push(callee) + ops("GAS CALL POP")
    made.append(BlockFiller(name="CALL that writes and reverts", code=repeat(body, most=30), accounts=writes))
    fails = {CALLEE: (0, b"\xfe")}
    body = ops("0 0 0 0 0") + push(callee) + ops("100 CALL POP")
    made.append(BlockFiller(name="CALL that fails", code=repeat(body, most=300), accounts=fails))
    # input is copied for every call; only the growth of memory was paid for
    for kilobytes, gas in ((20, MILLION), (300, 5 * MILLION), (1500, 30 * MILLION)):
        size = kilobytes * 1024
        body = ops(f"0 0 {size} 0") + push(callee) + ops("GAS STATICCALL POP")
        for kind, accounts in (("code", stop), ("no code", empty)):
            made.append(
                BlockFiller(
                    name=f"STATICCALL with {kilobytes} KiB to {kind}",
                    code=repeat(body, before=ops(f"1 {size} MSTORE"), most=300),
                    accounts=accounts,
                    gas=gas,
                )
            )
    # a callee that returns much of what it grew, to callers that take none of it
    size = 20_000
    big = {CALLEE: (0, ops(f"{size} 0 RETURN"))}
    body = ops("0 0 0 0") + push(callee) + ops("GAS STATICCALL POP")
    made.append(BlockFiller(name="STATICCALL that returns 20 KB", code=repeat(body, most=60), accounts=big))
    recurse = ops("0 0 0 0 ADDRESS GAS DELEGATECALL POP STOP")
    made.append(BlockFiller(name="DELEGATECALL to itself, deep", code=recurse, gas=30 * MILLION))
    return made


def _creations() -> list[BlockFiller]:
    made = []
    for name, salt in (("CREATE", ""), ("CREATE2", "GAS ")):
        made.append(
            BlockFiller(
                name=f"{name} of nothing",
                code=repeat(ops(f"{salt}0 0 0 {name} POP"), most=8, reserve=100_000),
            )
        )
        deploy = ops("24000 0 RETURN")
        before = push(int.from_bytes(deploy.ljust(32, b"\0"), "big")) + ops("0 MSTORE")
        body = ops(f"{salt}{len(deploy)} 0 0 {name} POP")
        made.append(
            BlockFiller(
                name=f"{name} of 24,000 bytes",
                code=repeat(body, before=before, most=1, reserve=6 * MILLION),
                gas=30 * MILLION,
            )
        )
    destroy = int.from_bytes(b"\x33\xff".ljust(32, b"\0"), "big")
    made.append(
        BlockFiller(
            name="CREATE and SELFDESTRUCT",
            code=repeat(ops("2 0 1 CREATE POP"), before=push(destroy) + ops("0 MSTORE"), most=8, reserve=200_000),
        )
    )
    selfdestruct = {CALLEE: (10**18, ops("CALLER SELFDESTRUCT"))}
    body = ops("0 0 0 0 1") + push(_number(CALLEE)) + ops("GAS CALL POP")
    made.append(BlockFiller(name="SELFDESTRUCT", code=repeat(body, most=30), accounts=selfdestruct))
    # init code that no cache has seen: another byte at its end every time
    for name, filler in (
        ("JUMPDESTs, jumped over", b"\x5b"),
        ("PUSH1s, jumped over", b"\x60\x5b"),
        ("JUMPDESTs, run through", b"\x5b"),
        ("PUSH0 POPs, run through", b"\x5f\x50"),
        ("JUMPIs, run through", b"\x5f\x5f\x57"),
    ):
        size = 49_152
        body = (filler * size)[: size - 40]
        head = b"\x61" + (size - 34).to_bytes(2, "big") + b"\x56" if "over" in name else b""
        init = (head + body[len(head) : -2] + b"\x5b\x00").ljust(size - 32, b"\x00")
        # the call data are the init code; the gas left makes its last word differ
        code = ops("CALLDATASIZE 0 0 CALLDATACOPY")
        turn = ops(f"GAS {size - 32} MSTORE {size} 0 0 CREATE POP")
        made.append(
            BlockFiller(
                name=f"new init code: {name}",
                code=repeat(turn, before=code, most=1, reserve=300_000),
                data=init,
                gas=5 * MILLION,
            )
        )
    return made


# -- precompiles


def _precompile(name: str, number: int, data: bytes, *, out: int = 64, gas: int = MILLION) -> BlockFiller:
    before = ops("CALLDATASIZE 0 0 CALLDATACOPY")
    body = ops(f"{out} 0 {len(data)} 0 {number} GAS STATICCALL POP")
    if out:  # the output must not overwrite the input
        body = ops(f"{out} {(len(data) + 31) // 32 * 32} {len(data)} 0 {number} GAS STATICCALL POP")
    return BlockFiller(
        name=f"precompile {number:#04x} {name}",
        code=repeat(body, before=before, most=1, reserve=gas // 2),
        data=data,
        gas=gas,
    )


def _modexp(base: bytes, exponent: bytes, modulus: bytes) -> bytes:
    sizes = b"".join(len(part).to_bytes(32, "big") for part in (base, exponent, modulus))
    return sizes + base + exponent + modulus


def _precompiles() -> list[BlockFiller]:
    rng = Random(5)  # noqa: S311 - reproducible on purpose
    made = [
        _precompile("ecrecover", 1, ecrecover_input()),
        _precompile("ecrecover, no signature", 1, b"\xff" * 128),
        _precompile("blake2f, 0 rounds", 9, bytes(212) + b"\1"),
        _precompile("blake2f, 12 rounds", 9, (12).to_bytes(4, "big") + b"\xa5" * 208 + b"\1"),
        _precompile("blake2f, 100,000 rounds", 9, (100_000).to_bytes(4, "big") + b"\xa5" * 208 + b"\1"),
        _precompile("KZG", 0x0A, kzg_input()),
    ]
    for size in (0, 32, 1000, 20_000):
        data = b"\xa5" * size
        made += [
            _precompile(f"sha256 of {size}", 2, data),
            _precompile(f"ripemd160 of {size}", 3, data),
            _precompile(f"identity of {size}", 4, data),
        ]
    for size, exponent_size in (
        (1, 1), (8, 75), (8, 0), (16, 40), (32, 32), (64, 64), (128, 128), (256, 256), (512, 32),
        (512, 512), (1024, 1), (1024, 32), (200, 3), (1024, 1024),
    ):  # fmt: skip
        exponent = b"\xff" * exponent_size
        base = b"\xff" * size
        odd = rng.randbytes(size - 1) + b"\xfb" if size > 1 else b"\xfb"
        even = b"\xff" * (size - 1) + b"\xfe" if size > 1 else b"\xfe"
        for kind, modulus in (("odd", odd), ("even", even)):
            made.append(
                _precompile(
                    f"modexp {size} bytes ^ {exponent_size}, {kind}", 5,
                    _modexp(base, exponent, modulus), gas=30 * MILLION if size * exponent_size > 200_000 else 4 * MILLION,
                )  # fmt: skip
            )
    one, two = bn_g1(multiply_by=977), bn_g1(multiply_by=12345)
    made += [
        _precompile("bn128 add", 6, one + two),
        _precompile("bn128 add, doubling", 6, one + one),
        _precompile("bn128 multiply", 7, one + (bn128.curve_order - 1).to_bytes(32, "big")),
        _precompile("bn128 multiply by 2^256-1", 7, one + b"\xff" * 32),
        _precompile("bn128 pairing of nothing", 8, b""),
    ]
    for count in (1, 2, 10, 30):
        pairs = b"".join(bn_g1(multiply_by=n + 2) + bn_g2(multiply_by=n + 3) for n in range(count))
        made.append(_precompile(f"bn128 pairing of {count}", 8, pairs, gas=4 * MILLION))
    made.append(_precompile("bn128 pairing, malformed at the end", 8, pairs[:-1] + b"\x01", gas=4 * MILLION))
    g1 = [bls_point(multiply(G1, n)) for n in range(3, 131)]
    g2 = [bls_point(multiply(G2, n)) for n in range(3, 131)]
    scalar = b"\xff" * 32
    made += [
        _precompile("BLS G1 add", 0x0B, g1[0] + g1[1]),
        _precompile("BLS G2 add", 0x0D, g2[0] + g2[1]),
        _precompile("BLS map to G1", 0x10, bytes(16) + b"\x11" * 48),
        _precompile("BLS map to G2", 0x11, (bytes(16) + b"\x11" * 48) * 2),
    ]
    for count in (1, 2, 16, 128):
        made += [
            _precompile(f"BLS G1 MSM of {count}", 0x0C, b"".join(p + scalar for p in g1[:count]), gas=4 * MILLION),
            _precompile(f"BLS G2 MSM of {count}", 0x0E, b"".join(p + scalar for p in g2[:count]), gas=5 * MILLION),
        ]
    for count in (1, 2, 8, 30):
        pairs = b"".join(a + b for a, b in zip(g1[:count], g2[:count], strict=True))
        made.append(_precompile(f"BLS pairing of {count}", 0x0F, pairs, gas=4 * MILLION))
    return made


# -- blocks of transactions


def _transactions() -> list[BlockFiller]:
    nobody = b"\xee" * 20
    slots = tuple(range(1000))
    listed = ((nobody, slots),)
    keys = [bytes([1]) * 31 + bytes([n]) for n in range(1, 41)]
    granted = tuple(Authorization(key=key, chain_id=1, address=nobody, nonce=0) for key in keys)
    return [
        BlockFiller(name="transfers", transactions=((nobody, b"", 21_000, (), ()),) * 50),
        BlockFiller(name="access lists", transactions=((nobody, b"", 2_000_000, listed, ()),)),
        BlockFiller(name="authorizations", transactions=((nobody, b"", 2_000_000, (), granted),)),
        BlockFiller(
            name="call data of ones",
            transactions=((nobody, b"\1" * 100_000, 4_100_000, (), ()),),
        ),
        BlockFiller(
            name="call data of zeros", transactions=((nobody, bytes(100_000), 1_100_000, (), ()),)
        ),
        BlockFiller(name="creations of nothing", transactions=((b"", b"", 60_000, (), ()),) * 20),
        BlockFiller(
            name="jumps, computed",
            code=repeat(ops("0 POP"), most=2),
        ),
        BlockFiller(name="INVALID", code=b"\xfe", fails=True),
    ]


def fillers() -> list[BlockFiller]:
    """Every opcode and precompile, with variants where the input matters."""
    made = [*_simple(), *_calls(), *_creations(), *_precompiles(), *_transactions()]
    names = [filler.name for filler in made]
    assert len(set(names)) == len(names)
    return made


def missing_opcodes() -> set[str]:
    """Opcodes that no filler's code has: none, or this list is behind the EVM."""
    seen = {line.split()[1] for f in fillers() for line in disassemble(f.code)}
    return set(OPCODES) - seen
