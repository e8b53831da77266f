"""The room that a block has for arrivals: the rule of docs/protocol.md, "Arrivals". Pure.

Who builds a block, who judges one and who objects to one that left arrivals out all ask `ArrivalRoom`.
"""

from dataclasses import dataclass, field

from node.primitives.basics import ShardId
from node.primitives.genesis import Params
from node.primitives.message import Message

ITEM_GAS = 5_000
"""What an arrival, or an address of the beacon operations, counts towards the share of arrivals besides the gas
that it uses: reading the message, its lane, a sweep take about as long as so much plain computation."""
UNDERPAID_PRICE = 4
"""A price is right when a message leaves; one below this part of the base fee where it arrives has waited for
more than twelve full blocks there, or was never right."""
UNDERPAID_SHARE = 8
"""The underpaid arrivals of one lane may have this part of what a block has for arrivals."""


@dataclass(slots=True, kw_only=True)
class ArrivalRoom:
    """What the arrivals of a block have taken so far, and whether one more fits.

    `base_fee` is the block's, in wei; `moved` counts the addresses of its beacon operations; `gas_used` is of
    the arrivals. `underpaid` is the gas that underpaid arrivals of each source have taken.
    """

    params: Params
    base_fee: int
    moved: int = 0
    arrived: int = 0
    gas_used: int = 0
    underpaid: dict[ShardId, int] = field(default_factory=dict)

    def fits(self, message: Message) -> bool:
        """Whether the block has room for it. The first arrival of a block always fits: lanes never stop.

        What uses no gas is work as well: each counts `ITEM_GAS` towards the share.
        """
        if self.is_underpaid(message) and not self._share_has(message):
            return False
        if not self.arrived:
            return True
        work = self.gas_used + ITEM_GAS * (self.moved + self.arrived + 1)
        in_time = work + message.gas <= self.params.arrivals_gas
        return self.arrived < self.params.max_arrivals and in_time

    def take(self, message: Message, gas_used: int, gas_sent: int) -> None:
        """Count an arrival that used `gas_used` and put messages that carry `gas_sent` on lanes."""
        self.arrived += 1
        self.gas_used += gas_used
        if self.is_underpaid(message):
            before = self.underpaid.get(message.src, 0)
            self.underpaid[message.src] = before + ITEM_GAS + gas_used + gas_sent

    def is_underpaid(self, message: Message) -> bool:
        """Whether it carries gas that is paid far below the base fee. A source that follows the rules sends
        none: there the price is at least the base fee here, as its anchor has it."""
        return message.all_gas > 0 and message.gas_price * UNDERPAID_PRICE < self.base_fee

    def _share_has(self, message: Message) -> bool:
        """Whether the underpaid share of its lane has room for all that it may use or send on. The first one
        of a lane always has."""
        taken = self.underpaid.get(message.src)
        share = self.params.arrivals_gas // UNDERPAID_SHARE
        return taken is None or taken + ITEM_GAS + message.all_gas <= share
