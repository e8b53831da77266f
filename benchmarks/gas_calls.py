"""Blocks full of calls, creations, and transactions of one kind."""

from benchmarks.gas_blocks import (
    CALLEE,
    CALLEE_NUMBER,
    MILLION,
    OR_FAIL,
    BlockFiller,
    ops,
    repeat,
)
from tests.conformance.differential.assembly import push
from tests.conformance.differential.case import Authorization


def call_fillers() -> list[BlockFiller]:
    stop = {CALLEE: (0, b"\0")}
    empty = {CALLEE: (1, b"")}
    reverts = {CALLEE: (0, ops("0 0 REVERT"))}
    made = []
    for name in ("CALL", "CALLCODE", "DELEGATECALL", "STATICCALL"):
        value = "0 " if name in ("CALL", "CALLCODE") else ""
        body = ops(f"0 0 0 0 {value}") + push(CALLEE_NUMBER) + ops(f"GAS {name} POP")
        for kind, accounts in (("code", stop), ("no code", empty), ("a revert", reverts)):
            made.append(
                BlockFiller(
                    name=f"{name} to {kind}", code=repeat(body, most=300), accounts=accounts
                )
            )
    with_value = ops("0 0 0 0 1") + push(CALLEE_NUMBER) + ops("GAS CALL POP")
    made.append(
        BlockFiller(name="CALL with value", code=repeat(with_value, most=60), accounts=stop)
    )
    fresh = ops("0 0 0 0 1 DUP6 GAS CALL POP 1 ADD")
    made.append(
        BlockFiller(
            name="CALL that creates accounts", code=repeat(fresh, before=push(1 << 80), most=12)
        )
    )
    cold = ops("0 0 0 0 0 DUP6 GAS CALL POP 1 ADD")
    made.append(BlockFiller(name="CALL, cold", code=repeat(cold, before=push(1 << 80), most=12)))
    writes = {CALLEE: (0, ops("1 CALLDATASIZE SSTORE 0 0 REVERT"))}
    body = ops("0 0 0 0 0") + push(CALLEE_NUMBER) + ops("GAS CALL POP")
    made.append(
        BlockFiller(
            name="CALL that writes and reverts", code=repeat(body, most=30), accounts=writes
        )
    )
    fails = {CALLEE: (0, b"\xfe")}
    body = ops("0 0 0 0 0") + push(CALLEE_NUMBER) + ops("100 CALL POP")
    made.append(BlockFiller(name="CALL that fails", code=repeat(body, most=300), accounts=fails))
    # input is copied for every call; only the growth of memory was paid for
    for kilobytes, gas in ((20, MILLION), (300, 5 * MILLION), (1500, 10 * MILLION)):
        size = kilobytes * 1024
        body = ops(f"0 0 {size} 0") + push(CALLEE_NUMBER) + ops("GAS STATICCALL POP")
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
    body = ops("0 0 0 0") + push(CALLEE_NUMBER) + ops("GAS STATICCALL POP")
    made.append(
        BlockFiller(name="STATICCALL that returns 20 KB", code=repeat(body, most=60), accounts=big)
    )
    recurse = ops("0 0 0 0 ADDRESS GAS DELEGATECALL POP STOP")
    made.append(BlockFiller(name="DELEGATECALL to itself, deep", code=recurse, gas=30 * MILLION))
    return made


def creation_fillers() -> list[BlockFiller]:
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
        body = ops(f"{salt}{len(deploy)} 0 0 {name}") + OR_FAIL
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
            code=repeat(
                ops("2 0 1 CREATE POP"),
                before=push(destroy) + ops("0 MSTORE"),
                most=8,
                reserve=200_000,
            ),
        )
    )
    selfdestruct = {CALLEE: (10**18, ops("CALLER SELFDESTRUCT"))}
    body = ops("0 0 0 0 1") + push(CALLEE_NUMBER) + ops("GAS CALL POP")
    made.append(BlockFiller(name="SELFDESTRUCT", code=repeat(body, most=30), accounts=selfdestruct))
    return made


def _jumps(compute: bytes) -> bytes:
    """A loop of jumps, each to the next; `compute` hides the target from a reader of the push."""
    code = b"\x5b"
    for _ in range(200):
        target = len(code) + 4 + len(compute)
        code += b"\x61" + target.to_bytes(2, "big") + compute + b"\x56\x5b"
    return code + ops("60000 GAS GT 0 JUMPI STOP")


def _far_jumps() -> bytes:
    """Computed jumps, each to the last byte of 128 that are full of pushes."""
    code = ops("JUMPDEST 127 0 ADD JUMP").ljust(127, b"\x00")
    for number in range(2, 180):
        target = b"\x61" + (128 * number - 1).to_bytes(2, "big")
        code += b"\x5b" + target + ops("0 ADD JUMP STOP") + b"\x60" * 120
    return code + b"\x5b" + ops("60000 GAS GT 0 JUMPI STOP")


def transaction_fillers() -> list[BlockFiller]:
    nobody = b"\xdd" * 20
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
        BlockFiller(name="JUMPI", code=repeat(ops("0 POP"), most=2)),
        BlockFiller(name="JUMP", code=_jumps(b"")),
        BlockFiller(name="JUMP, computed, over pushes", code=_far_jumps()),
        BlockFiller(name="JUMP, computed", code=_jumps(ops("0 ADD"))),
        BlockFiller(name="INVALID", code=b"\xfe", fails=True),
    ]
