"""The network block that a node shows as its newest."""

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from node.chains.network_head import NetworkHead


@dataclass
class Chains:
    """`tips` are, by beacon height, up to which block the beacon has taken in our shard; `blocks` are here."""

    tips: list[int]
    blocks: int
    rises: list[int] = field(default_factory=list)

    def open(self) -> NetworkHead:
        found = NetworkHead(self, self)  # type: ignore[arg-type]
        found.on_rise.append(lambda: self.rises.append(found.height()))
        return found

    shard = 0

    @property
    def head(self) -> Any:
        return SimpleNamespace(height=len(self.tips) - 1, number=self.blocks)

    def state_at(self, height: int) -> Any:
        return SimpleNamespace(tip=lambda _: SimpleNamespace(height=self.tips[height]))


def test_it_is_the_highest_whose_part_of_our_shard_is_here() -> None:
    assert Chains(tips=[0, 1, 1, 3, 4], blocks=3).open().height() == 3
    assert Chains(tips=[0, 1], blocks=5).open().height() == 1
    assert Chains(tips=[0, 1, 2], blocks=0).open().height() == 0


def test_it_rises_with_either_chain_and_says_so_once() -> None:
    chains = Chains(tips=[0, 1], blocks=0)
    head = chains.open()
    head.advance()
    chains.tips += [2, 2]
    head.advance()
    assert (head.height(), chains.rises) == (0, [])
    chains.blocks = 2
    head.advance()
    head.advance()
    assert (head.height(), chains.rises) == (3, [3])
