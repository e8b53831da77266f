"""BEACON, the one precompile that Ethereum lacks: it reads the beacon state of the anchor.

    homeOf(address account) -> (uint256 shard)
    shard(uint256 id) -> (uint256 consumed, uint256 consumedGas, uint256 baseFee, bool frozen)
    height() -> (uint256)

Calls are ABI encoded. Each costs `QUESTION_GAS`, a cold account access, beside the call itself (its address is
warm from the start, as every precompile's). `consumed` is how many messages that were asked for on the lane
from the shard that asks (`Message.is_asked`) have been consumed, `consumedGas` their gas; `baseFee` is that of
the block after the newest one of the shard that the beacon has, in wei, and 0 where the asking block has none
(a simulated call that pays nothing). A question without an answer fails and takes the gas.
"""

from typing import TYPE_CHECKING

from node.execution.evm.storage_ops import COLD_ACCOUNT
from node.execution.frame.pyevm import VMError
from node.primitives.basics import Address, keccak256

if TYPE_CHECKING:
    from node.execution.frame.frame import Frame

QUESTION_GAS = COLD_ACCOUNT
HOME_OF, SHARD, HEIGHT = (
    keccak256(signature)[:4] for signature in (b"homeOf(address)", b"shard(uint256)", b"height()")
)


def beacon(frame: "Frame") -> None:
    """Answer one question. Raises VMError."""
    frame.meter.consume_gas(QUESTION_GAS)
    vm, data = frame.vm, bytes(frame.msg.data)
    view = vm.context.beacon
    if view is None:
        raise VMError("there is no beacon")
    selector, argument = data[:4], data[4:]
    if selector == HEIGHT and not argument:
        frame.output = view.height.to_bytes(32, "big")
        return
    if len(argument) != 32:
        raise VMError("not a question to the beacon")
    number = int.from_bytes(argument, "big")
    if selector == HOME_OF and number < 1 << 160:
        home = view.home(vm.accounts, Address(argument[12:]))
        frame.output = home.to_bytes(32, "big")
        return
    facts = view.shard(number) if selector == SHARD else None
    if facts is None:
        raise VMError("not a question to the beacon")
    words = (
        facts.consumed_asked,
        facts.consumed_gas,
        facts.base_fee if vm.context.base_fee else 0,
        int(facts.frozen),
    )
    frame.output = b"".join(word.to_bytes(32, "big") for word in words)
