"""Blocks full of what asks for accounts of another shard."""

from dataclasses import dataclass

from benchmarks.gas_blocks import CALLEE, CALLEE_NUMBER, MILLION, BlockFiller, ops, repeat
from node.execution.frame.context import ShardFacts
from node.execution.state.state import State
from node.primitives.basics import Address
from node.primitives.placement import home_by_range
from tests.conformance.differential.assembly import push

AWAY = 0xEE << 152
"""The first address of those on another shard; all begin with this byte."""


@dataclass(frozen=True, slots=True)
class Border:
    """A beacon that finds homes by range, as ours does, and then has its own mind about them."""

    height: int = 1

    def home(self, accounts: State, address: Address) -> int:
        home_by_range(address, 2)
        return int(address[0] == AWAY >> 152 and not accounts.has_code_or_nonce(address))

    def elsewhere(self, accounts: State, address: Address) -> int | None:
        return self.home(accounts, address) or None

    def lives_elsewhere(self, _: Address) -> bool:
        return False

    def shard(self, _: int) -> ShardFacts | None:
        return None

    def unsendable(self, _: State) -> str | None:
        return None


def border_fillers() -> list[BlockFiller]:
    away = push(AWAY)
    refused = ops("0 0 0 0") + away + ops("GAS STATICCALL POP")
    made = [BlockFiller(name="STATICCALL of another shard", code=repeat(refused, most=300))]
    # as many as are warm after a few million gas, one after the other
    turn = ops("0 0 0 0 DUP5 1500 SWAP1 MOD") + away + ops("ADD GAS STATICCALL POP 1 ADD")
    made.append(
        BlockFiller(
            name="STATICCALL of another shard, 1,500 accounts",
            code=repeat(turn, before=ops("0"), most=12),
            gas=20 * MILLION,
        )
    )
    call = ops("0 0 0 0") + push(CALLEE_NUMBER) + ops("GAS STATICCALL POP")
    warm = away + ops("EXTCODESIZE POP")
    for name, code in (
        ("EXTCODESIZE of another shard and REVERT", away + ops("EXTCODESIZE POP 0 0 REVERT")),
        ("BALANCE of another shard", away + ops("BALANCE")),
        ("EXTCODECOPY of another shard", ops("0 0 0") + away + ops("EXTCODECOPY")),
    ):
        made.append(
            BlockFiller(
                name=name, code=repeat(call, before=warm, most=300), accounts={CALLEE: (0, code)}
            )
        )
    return made
