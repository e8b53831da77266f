"""Decoded code: jump destinations, blocks, the bounds of what is kept, calls that share memory."""

from random import Random
from threading import Thread

import pytest

from node.execution.evm.evm import Evm
from node.execution.evm.results import CallResult
from node.execution.frame.context import BlockContext
from node.execution.frame.instructions import FALL, STOP
from node.execution.frame.jumpdests import CHUNK, JumpDestinations
from node.execution.frame.program import SHORT_BLOCK, Program, ProgramCache
from node.execution.state.genesis import GenesisAccount, build_genesis
from node.execution.state.state import State
from node.primitives.basics import Address
from tests.conformance.differential.assembly import OPCODES, push
from tests.support.deep_stack import run_with_stack

CALLER = Address(b"\xc0" * 20)
CALLEE = Address(b"\xca" * 20)
SENDER = Address(b"\x5e" * 20)


def ops(text: str) -> bytes:
    """Code from mnemonics and numbers, which are pushed; "callee" is pushed, too."""
    out = b""
    for token in text.split():
        if token == "callee":
            out += push(int.from_bytes(CALLEE, "big"))
        else:
            out += push(int(token)) if token.isdigit() else OPCODES[token]
    return out


def destinations(code: bytes) -> set[int]:
    found, at = set(), 0
    while at < len(code):
        if code[at] == 0x5B:
            found.add(at)
        at += 1 + (code[at] - 0x5F if 0x60 <= code[at] <= 0x7F else 0)
    return found


def codes() -> list[bytes]:
    rng = Random(11)
    made = [b"", b"\x5b", b"\x60", b"\x7f" + b"\x5b" * 40, b"\x5b" * 1000, b"\x60\x5b" * 500]
    made += [bytes(CHUNK - n) + b"\x7f" + b"\x5b" * 200 for n in range(1, 35)]
    for _ in range(200):
        few = rng.choice([bytes(range(256)), b"\x5b\x60", b"\x5b\x61\x7f\x00", b"\x5b\x5f\x62"])
        made.append(bytes(rng.choices(few, k=rng.randrange(2000))))
    return made


class TestJumpDestinations:
    @pytest.mark.parametrize("order", ["up", "down", "any"])
    def test_they_are_those_of_the_yellow_paper(self, order: str) -> None:
        rng = Random(7)
        for code in codes():
            offsets = list(range(len(code) + 40))
            if order == "down":
                offsets.reverse()
            elif order == "any":
                rng.shuffle(offsets)
            found = JumpDestinations(code)
            assert {offset for offset in offsets if offset in found} == destinations(code)

    def test_any_word_may_be_asked_for(self) -> None:
        found = JumpDestinations(b"\x5b" * 10)
        assert (1 << 256) - 1 not in found
        assert 10 not in found
        assert 9 in found

    def test_they_are_kept_small(self) -> None:
        code = b"\x5b" * 24_576
        found = JumpDestinations(code)
        assert len(code) - 1 in found
        assert len(found._starts) == len(code) // CHUNK

    def test_code_behind_the_jump_is_not_searched(self) -> None:
        found = JumpDestinations(b"\x5b" * 24_576)
        assert 2 * CHUNK in found
        assert len(found._starts) == 3

    def test_a_computed_jump_is_searched_for_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The cost of a jump is 8 gas, however much push data stands before its destination."""
        asked: list[int] = []
        search = JumpDestinations.__contains__
        monkeypatch.setattr(
            JumpDestinations, "__contains__", lambda self, at: asked.append(at) or search(self, at)
        )
        # 100, JUMPDEST, less 1, again while it is not 0: to 2 + 0
        code = bytes.fromhex("6064 5b 6001900380 60025f01 57 00")
        assert call(code, b"").success
        assert asked == [2]

    def test_a_byte_of_push_data_is_none_after_any_jumps(self) -> None:
        # to the JUMPDEST at 5 by way of 5 + 0, then into the data of the push behind it
        result = call(bytes.fromhex("60055f0156 5b 625b5b5b 60085f0156"), b"")
        assert (result.success, result.error) == (False, "invalid jump destination")


class TestBlocks:
    def test_jumpdests_in_a_row_are_one_block_and_the_last(self) -> None:
        program = Program(b"\x5b" * 1000 + b"\x5f\x50")
        first = program.block(0)
        assert (first.gas, first.following, first.end, first.instructions) == (999, 999, FALL, [])
        last = program.block(999)
        assert (last.gas, last.following, last.end, len(last.instructions)) == (5, 1002, STOP, 2)
        assert len(program.blocks) == 2

    def test_a_short_block_runs_on_over_jumpdests(self) -> None:
        program = Program(b"\x5b\x5f\x5b\x50" * 100)
        block = program.block(0)
        assert (block.gas, block.following, len(block.instructions)) == (24, 16, 8)
        assert block.following == SHORT_BLOCK
        long = Program(b"\x5f\x50" * 10 + b"\x5b\x00").block(0)
        assert (long.following, long.end) == (20, FALL)

    def test_what_blocks_share_is_bounded(self) -> None:
        rng = Random(3)
        for _ in range(30):
            code = bytes(rng.choices(b"\x5b\x5b\x5f\x50\x01\x60\x80\x57\x5a", k=1500))
            program = Program(code)
            starts = [0, *sorted(destinations(code))]
            for start in starts:
                while start < len(code):
                    start = program.block(start).following
            held = sum(len(block.instructions) for block in program.blocks.values())
            assert held <= len(code) + SHORT_BLOCK * len(starts)

    def test_gas_counts_what_came_before_it_in_its_block(self) -> None:
        # GAS, three cheap instructions, GAS, one that is charged as it runs, GAS
        code = ops("GAS 1 2 ADD POP GAS 0 255 MSTORE GAS 0 MSTORE 32 MSTORE 64 MSTORE 96 0 RETURN")
        result = call(code, b"")
        third, second, first = (
            int.from_bytes(result.output[at : at + 32], "big") for at in (0, 32, 64)
        )
        assert first == 5_000_000 - 2
        assert first - second == 3 + 3 + 3 + 2 + 2
        assert second - third == 2 + 3 + 3 + 9 * 3 + 2

    def test_a_program_knows_what_it_holds(self) -> None:
        program = Program(push(1 << 200) * 100)
        before = program.held
        program.block(0)
        assert program.held > before + 100 * 100
        program.forget()
        assert (program.held, program.blocks) == (before, {})


class TestCache:
    def test_the_oldest_is_dropped_first(self) -> None:
        cache = ProgramCache(limit=10_000)
        made = [cache.get(bytes([n]) * 1000, {}) for n in range(20)]
        assert 8_000 < cache.held <= 10_000
        assert cache.get(b"\x13" * 1000, {}) is made[19]
        assert cache.get(b"\x00" * 1000, {}) is not made[0]

    @pytest.mark.slow
    def test_what_was_decoded_counts(self) -> None:
        """Also of programs that nobody asks for again: init code, as a rule."""
        cache = ProgramCache(limit=1_000_000)
        made = []
        for n in range(100):
            code = b"\x5f\x5f\x57" * 1000 + bytes([n])
            program = cache.get(code, {})
            for at in range(0, 3000, 3):
                program.block(at)
            made.append(program)
            assert cache.held <= 1_000_000
        assert len(made[99].blocks) == 1000
        assert sum(program.held for program in made) < 1_500_000

    def test_a_program_larger_than_the_cache_runs(self) -> None:
        cache = ProgramCache(limit=50_000)
        code = b"\x5f\x5f\x57" * 1000
        program = cache.get(code, {})
        for at in range(0, 3000, 3):
            assert program.block(at).following == at + 3
        assert cache.held <= 50_000

    def test_a_dropped_program_can_still_run(self) -> None:
        cache = ProgramCache(limit=3000)
        program = cache.get(b"\x5f" * 500, {})
        program.block(0)
        for n in range(5):
            cache.get(bytes([n]) * 1000, {})
        assert program.blocks == {}
        assert program.block(0).gas

    def test_a_transaction_searches_code_once(self) -> None:
        cache = ProgramCache(limit=3000)
        searched: dict[bytes, JumpDestinations] = {}
        code = b"\x5b" * 1000
        first = cache.get(code, searched)
        assert 999 in first.destinations
        for n in range(5):
            cache.get(bytes([n]) * 1000, searched)
        again = cache.get(code, searched)
        assert again is not first
        assert again.destinations is first.destinations

    def test_threads_agree_on_what_is_held(self) -> None:
        cache = ProgramCache(limit=50_000)

        def work(seed: int) -> None:
            rng = Random(seed)
            for _ in range(2000):
                program = cache.get(bytes([rng.randrange(100)]) * 1000, {})
                program.block(0)

        threads = [Thread(target=work, args=(seed,)) for seed in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert cache.held == sum(counted for _, counted in cache._programs.values()) <= 50_000


def call(caller: bytes, callee: bytes, *, data: bytes = b"") -> CallResult:
    accounts = {CALLER: GenesisAccount(nonce=1, code=caller)}
    accounts[CALLEE] = GenesisAccount(nonce=1, code=callee)
    delta = build_genesis(accounts)
    state = State(delta.nodes.get, delta.root)
    state.begin_transaction()
    context = BlockContext(
        chain_id=1, number=1, timestamp=1, coinbase=SENDER, gas_limit=30_000_000, base_fee=0
    )
    return Evm(1).apply_call(
        state, context, sender=SENDER, to=CALLER, value=0, data=data,
        gas=5_000_000, gas_price=0, origin=SENDER,
    )  # fmt: skip


# the input is 4,096 bytes of the caller's memory; what the callee sees of it is returned
FILL = "CALLDATASIZE 0 0 CALLDATACOPY "
CALL = FILL + "4096 6000 4096 0 0 callee GAS CALL "


@pytest.mark.parametrize(
    "callee",
    [
        "CALLDATASIZE 0 0 CALLDATACOPY CALLDATASIZE 0 RETURN",
        "CALLDATASIZE 0 0 CALLDATACOPY CALLDATASIZE 0 REVERT",
        # the identity precompile gets a view of the copy
        "CALLDATASIZE 0 0 CALLDATACOPY 4096 0 4096 0 0 4 GAS CALL 4096 0 RETURN",
    ],
)
def test_a_large_input_arrives_whole(callee: str) -> None:
    data = Random(1).randbytes(4096)
    result = call(ops(CALL + "POP 4096 6000 RETURN"), ops(callee), data=data)
    assert (result.success, result.output) == (True, data)


@pytest.mark.parametrize(
    "callee",
    [
        "STOP",
        "INVALID",
        "0 0 REVERT",
        "4090 CALLDATALOAD 0 MSTORE 5 CALLDATALOAD POP 9 JUMP",
        "5000 4000 0 CALLDATACOPY 0 0 REVERT",
        "5000 0 0 RETURNDATACOPY",
    ],
)
def test_memory_grows_after_a_call_with_a_large_input(callee: str) -> None:
    """A view of memory that stayed would make growing it impossible."""
    after = "POP 1 50000 MSTORE 100000 MLOAD MSIZE 0 MSTORE 32 0 RETURN"
    result = call(ops(CALL + after), ops(callee), data=bytes(4096))
    assert result.success
    assert int.from_bytes(result.output, "big") == 100_032


def test_the_end_of_a_large_input_reads_as_zeros() -> None:
    callee = ops("4090 CALLDATALOAD 0 MSTORE 4095 CALLDATALOAD 32 MSTORE ")
    callee += ops("0 NOT CALLDATALOAD 64 MSTORE 5000 4000 96 CALLDATACOPY 5000 0 RETURN")
    data = bytes(n % 251 for n in range(4096))
    caller = ops(FILL + "5000 6000 4096 0 0 callee GAS CALL POP 5000 6000 RETURN")
    result = call(caller, callee, data=data)
    assert result.output[:32] == data[4090:].ljust(32, b"\0")
    assert result.output[32:64] == data[4095:].ljust(32, b"\0")
    assert result.output[64:96] == bytes(32)
    assert result.output[96:] == data[4000:].ljust(5000 - 96, b"\0")


def test_a_callee_that_writes_its_memory_leaves_its_callers_alone() -> None:
    data = Random(2).randbytes(4096)
    callee = ops("CALLDATASIZE 0 0 CALLDATACOPY 0 0 MSTORE 0 0 4096 0 0 4 GAS CALL")
    result = call(ops(CALL + "POP 4096 0 RETURN"), callee, data=data)
    assert result.output == data


def test_frames_hand_on_views_of_their_own_memory_and_grow_it_afterwards() -> None:
    data = Random(3).randbytes(4096)
    code = ops(
        "CALLDATASIZE 0 0 CALLDATACOPY 0 0 CALLDATASIZE 0 ADDRESS GAS STATICCALL POP "
        "1 8000 MSTORE 4096 0 RETURN"
    )
    result = run_with_stack(lambda: call(code, b"", data=data))
    assert (result.success, result.output) == (True, data)
