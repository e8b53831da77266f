"""The room that a block has for arrivals: the rule of docs/protocol.md, "Arrivals". Pure.

The builder of a block, its judge, and a validator that objects to missing arrivals all ask `ArrivalRoom`.
"""

from dataclasses import dataclass, field

from node.primitives.basics import ShardId
from node.primitives.genesis import Params
from node.primitives.message import Message

ITEM_GAS = 5_000
"""Gas that an arrival, or an address of the beacon operations, counts towards the share of arrivals on top of
the gas that it uses. Reading the message, its lane and a sweep take about as long as so much plain computation.
"""
UNDERPAID_PRICE = 4
"""The part of the base fee below which an arrival is underpaid. A price is right when a message leaves; one
that low has waited for more than twelve full blocks at its destination, or was never right.
"""
UNDERPAID_SHARE = 8
"""The underpaid arrivals of one lane may have this part of what a block has for arrivals."""


@dataclass(slots=True, kw_only=True)
class ArrivalRoom:
    """The room that the arrivals of a block have taken so far, and the test for one more.

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
        """True if the block has room for the message. The first arrival of a block always fits: lanes never
        stop.

        An arrival without gas is work as well, so each counts `ITEM_GAS` towards the share.
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
        """True if the message pays for gas far below the base fee. A source that follows the rules sends none:
        its price is at least the base fee here, as its anchor has it.
        """
        return message.all_gas > 0 and message.gas_price * UNDERPAID_PRICE < self.base_fee

    def _share_has(self, message: Message) -> bool:
        """True if the underpaid share of its lane has room for all the gas that the message may use or send on.
        The first one of a lane always fits.
        """
        taken = self.underpaid.get(message.src)
        share = self.params.arrivals_gas // UNDERPAID_SHARE
        return taken is None or taken + ITEM_GAS + message.all_gas <= share
