"""Blocks full of code that has to be read anew: more of it than any cache holds, or never seen before."""

from benchmarks.gas_blocks import MILLION, OR_FAIL, BlockFiller, ops, repeat

FIRST = 0x10_0000  # the address of the first code
CODE_BYTES = 24_576
INIT_BYTES = 49_152
# what 100 gas of a call can make the interpreter read
PATTERNS = (
    ("JUMPDESTs", b"\x5b"),
    ("PUSH0 POPs", b"\x5f\x50"),
    ("JUMPIs", b"\x5f\x5f\x57"),
    ("GAS POPs", b"\x5a\x50"),
    ("JUMPDESTs between", b"\x5b\x5f\x5b\x50"),
    ("PUSH32 POPs", b"\x7f" + b"\xa5" * 32 + b"\x50"),
    ("PUSH2 POPs", b"\x61\xa5\xa5\x50"),
    ("MSIZE ADDs", b"\x59\x59\x01\x50"),
)


def code_fillers() -> list[BlockFiller]:
    return [*_jumped_over(), *_looked_at(), *_run_through(), *_entered(), *_new_init_code()]


def _calls_in_turn(name: str, codes: list[bytes], *, gas: int, calldata: str = "") -> BlockFiller:
    """Calls each of `codes` in turn, which must succeed."""
    data = f"DUP1 {len(codes)} SWAP1 DIV 0 MSTORE " if calldata else ""
    size = 32 if calldata else 0
    turn = ops(f"{data}DUP1 {len(codes)} SWAP1 MOD {FIRST} ADD 0 0 {size} 0 DUP5 GAS STATICCALL")
    return BlockFiller(
        name=name,
        code=repeat(turn + OR_FAIL + ops("POP 1 ADD"), before=ops("0"), most=80, reserve=300_000),
        accounts=_accounts(codes),
        gas=gas,
    )


def _jumped_over() -> list[BlockFiller]:
    """Codes that jump to their end, more than the cache of programs holds: the end has to be found."""
    made = []
    end = CODE_BYTES - 4
    head = b"\x61" + end.to_bytes(2, "big") + b"\x56"
    for count, gas in ((200, 2), (1500, 8)):
        for kind, filler in (
            ("JUMPDESTs", b"\x5b"),
            ("PUSH1s", b"\x60\x5b"),
            ("both", b"\x5b\x60\0"),
        ):
            body = (head + filler * ((end - 4) // len(filler))).ljust(end, b"\x00")
            codes = [body + b"\x5b\x00" + n.to_bytes(2, "big") for n in range(count)]
            name = f"STATICCALL to {count} codes that jump over {kind}"
            made.append(_calls_in_turn(name, codes, gas=gas * MILLION))
    return made


def _looked_at() -> list[BlockFiller]:
    """More code than LevelDB and the state keep in memory, of which only the size is asked for."""
    count = 3000
    codes = [n.to_bytes(4, "big") * (CODE_BYTES // 4) for n in range(count)]
    turn = ops(f"DUP1 {count} SWAP1 MOD {FIRST} ADD EXTCODESIZE")
    return [
        BlockFiller(
            name=f"EXTCODESIZE of {count} codes",
            code=repeat(turn + OR_FAIL + ops("1 ADD"), before=ops("0"), most=60),
            accounts=_accounts(codes),
            gas=12 * MILLION,
        )
    ]


def _accounts(codes: list[bytes]) -> dict[bytes, tuple[int, bytes]]:
    return {(FIRST + n).to_bytes(20, "big"): (0, code) for n, code in enumerate(codes)}


def _run_through() -> list[BlockFiller]:
    """Codes that are run from begin to end, more than the cache holds when they are decoded."""
    made = []
    for kind, filler in PATTERNS:
        body = (filler * CODE_BYTES)[: CODE_BYTES - CODE_BYTES % len(filler) - 40]
        body = body[: len(body) - len(body) % len(filler)]
        codes = [body + b"\x00" + n.to_bytes(2, "big") for n in range(40)]
        made.append(_calls_in_turn(f"40 codes run through, {kind}", codes, gas=6 * MILLION))
    return made


def _entered() -> list[BlockFiller]:
    """Codes entered at another place by every call, so that little of what was decoded is of use."""
    # to the JUMPDEST of the number in the call data; each has code of its own behind it
    jump = b"\x5f\x35\x60\x01\x1b\x60\x09\x01\x56"
    codes = [
        ((jump + b"\x5b\x00" * CODE_BYTES)[: CODE_BYTES - 2]) + n.to_bytes(2, "big")
        for n in range(5)
    ]
    return [_calls_in_turn("5 codes entered everywhere", codes, gas=3 * MILLION, calldata="turn")]


def _new_init_code() -> list[BlockFiller]:
    made = []
    for kind, filler in (("JUMPDESTs", b"\x5b"), ("PUSH1s", b"\x60\x5b"), ("both", b"\x5b\x60\0")):
        made.append(_created(f"new init code: {kind}, jumped over", filler, jumps=True))
    for kind, filler in PATTERNS:
        made.append(_created(f"new init code: {kind}, run through", filler, jumps=False))
    return made


def _created(name: str, filler: bytes, *, jumps: bool) -> BlockFiller:
    """Init code of which no two are the same: the gas left and the time make the last word differ."""
    usable = INIT_BYTES - 40
    head = b"\x61" + (usable - 2).to_bytes(2, "big") + b"\x56" if jumps else b""
    body = head + filler * ((usable - 2 - len(head)) // len(filler))
    init = (body.ljust(usable - 2, b"\x00") + b"\x5b\x00").ljust(INIT_BYTES - 32, b"\x00")
    turn = ops(f"GAS TIMESTAMP MUL {INIT_BYTES - 32} MSTORE {INIT_BYTES} 0 0 CREATE") + OR_FAIL
    return BlockFiller(
        name=name,
        # the call data are the init code
        code=repeat(turn, before=ops("CALLDATASIZE 0 0 CALLDATACOPY"), most=1, reserve=500_000),
        data=init,
        gas=5 * MILLION,
    )
