"""Mistakes in shards: lanes, messages, placement, blocks, the pool, prices across them."""

from tests.mutants.mistake import Mistake


def unit(*names: str) -> tuple[str, ...]:
    """Files of the unit tests of shards."""
    return tuple(f"tests/unit/shard/test_{name}.py" for name in names)


JUDGED = ("tests/property/test_judged_is_taken.py",)

SHARDS = (
    Mistake(
        name="one-message-more-than-the-window",
        file="node/shard/room.py",
        old="    if waiting >= windows * params.lane_window:",
        new="    if waiting > windows * params.lane_window:",
        suite=unit("lanes", "departures"),
    ),
    Mistake(
        name="the-gas-window-is-not-asked",
        file="node/shard/room.py",
        old="    if windows == 1 and gas_waiting + gas > params.lane_gas_window:",
        new="    if windows == 1 and gas_waiting > params.lane_gas_window:",
        suite=unit("lanes", "departures"),
    ),
    Mistake(
        name="answers-take-room-in-the-window",
        file="node/primitives/message.py",
        old="        return self.depth == 0 and self.kind in (MessageKind.CALL, MessageKind.CREDIT)",
        new="        return self.depth == 0",
        suite=unit("third_lane"),
    ),
    Mistake(
        name="what-arrivals-sweep-is-asked-for",
        file="node/shard/run.py",
        old="logs, depth=message.next_depth)",
        new="logs, depth=0)",
        suite=unit("third_lane"),
    ),
    Mistake(
        name="senders-on-a-third-shard-are-always-told",
        file="node/shard/delivery.py",
        old="        and (is_here or frame.passes_on(message.src, home, message.reply_gas))",
        new="",
        suite=unit("third_lane"),
    ),
    Mistake(
        name="any-messages-arrive",
        file="node/shard/lanes.py",
        old="            if checkpoint.head == head:",
        new="            if head:",
        suite=unit("lanes", "judge"),
    ),
    Mistake(
        name="a-supply-ends-anywhere",
        file="node/shard/lanes.py",
        old="ends = [count for count in counts if 0 < count <= len(messages)]",
        new="ends = [count for count in counts if 0 < count]",
        suite=unit("lanes", "judge"),
    ),
    Mistake(
        name="a-lane-is-not-in-order",
        file="node/shard/run.py",
        old="if message.dst != self.rules.shard or message.seq != position.count:",
        new="if message.dst != self.rules.shard:",
        suite=unit("arrivals", "judge"),
    ),
    Mistake(
        name="value-comes-home-and-stays",
        file="node/shard/delivery.py",
        old="    returned = 0 if success else message.value",
        new="    returned = message.value",
        suite=unit("replies"),
    ),
    Mistake(
        name="gas-of-replies-is-kept",
        file="node/shard/delivery.py",
        old="    reserved = message.reply_gas if told else 0",
        new="    reserved = message.reply_gas",
        suite=unit("replies", "sends"),
    ),
    Mistake(
        name="refund-the-sender-not-who-paid",
        file="node/shard/delivery.py",
        old="    frame.state.add_balance(message.refund_to, (prepaid - used) * price)",
        new="    frame.state.add_balance(message.sender, (prepaid - used) * price)",
        suite=("tests/simulation/test_devnet_simulation.py",),
    ),
    Mistake(
        name="the-proposer-keeps-the-base-fee",
        file="node/shard/delivery.py",
        old="    frame.burned += burned\n    frame.state.add_balance(frame.env.coinbase, used",
        new="    burned = 0\n    frame.state.add_balance(frame.env.coinbase, used",
        suite=unit("arrivals"),
    ),
    Mistake(
        name="any-shard-speaks-for-anybody",
        file="node/shard/delivery.py",
        old="        return frame.home(message.sender) == message.src",
        new="        return True",
        suite=unit("arrivals", "replies"),
    ),
    Mistake(
        name="the-range-speaks-for-who-was-just-born-here",
        file="node/shard/delivery.py",
        old="        return frame.home(message.sender) == message.src",
        new="        return frame.env.anchor.state.home(message.sender) == message.src",
        suite=JUDGED,
    ),
    Mistake(
        name="a-shard-makes-system-calls-of-others",
        file="node/shard/delivery.py",
        old="    if messenger.is_protocols(message.sender):",
        new="    if messenger.is_everywhere(message.sender):",
        suite=JUDGED,
    ),
    Mistake(
        name="a-departure-keeps-its-nonce",
        file="node/shard/crossing.py",
        old="    state.set_nonce(tx.sender, tx.nonce + 1)",
        new="    state.set_nonce(tx.sender, tx.nonce)",
        suite=unit("departures"),
    ),
    Mistake(
        name="a-departure-pays-no-base-fee",
        file="node/shard/crossing.py",
        old="    frame.burned += here * frame.base_fee\n",
        new="",
        suite=unit("departures"),
    ),
    Mistake(
        name="newborn-contracts-are-elsewhere",
        file="node/shard/frame.py",
        old="if messenger.is_everywhere(address) or self.state.has_code_or_nonce(address):",
        new="if messenger.is_everywhere(address):",
        suite=unit("placement"),
    ),
    Mistake(
        name="a-lane-never-jumps-ahead",
        file="node/shard/lanes.py",
        old="        if position.count > self.position.count:\n            self.position = position",
        new="        if position.count < self.position.count:\n            self.position = position",
        suite=unit("lanes"),
    ),
    Mistake(
        name="headers-are-not-compared",
        file="node/shard/judge.py",
        old="    if executed.header != block.header:",
        new="    if executed.header.number != block.header.number:",
        suite=unit("judge"),
    ),
    Mistake(
        name="beacon-operations-may-be-left-out",
        file="node/shard/judge.py",
        old="    if found != expected:",
        new="    if found is not None and found != expected:",
        suite=unit("judge", "placement"),
    ),
    Mistake(
        name="arrivals-may-come-late-in-a-block",
        file="node/shard/run.py",
        old='        if self.decoded or self.operations:\n            raise InvalidBlock("an arrival',
        new='        if self.operations:\n            raise InvalidBlock("an arrival',
        suite=unit("judge", "arrivals"),
    ),
    Mistake(
        name="who-withholds-is-not-found",
        file="node/shard/withheld.py",
        old="        if supply.taken >= len(supply.messages) or supply.next().seq >= lane.due:",
        new="        if supply.taken >= len(supply.messages) or supply.next().seq < lane.due:",
        suite=unit("withheld"),
    ),
    Mistake(
        name="who-pays-nothing-has-the-whole-share",
        file="node/shard/arrival_room.py",
        old="        if self.is_underpaid(message) and not self._share_has(message):",
        new="        if message.gas_price < 0 and not self._share_has(message):",
        suite=unit("underpaid"),
    ),
    Mistake(
        name="dear-arrivals-in-every-block",
        file="node/chains/shard_app.py",
        old="        rests = bool(chosen) and self._arrival_seconds >= self._arrivals_may_take",
        new="        rests = False",
        suite=("tests/unit/chains/test_shard_app.py",),
    ),
    Mistake(
        name="who-gives-transactions-their-turn-withholds",
        file="node/chains/shard_app.py",
        old="        if self._arrival_seconds >= seconds:\n            return None\n",
        new="",
        suite=("tests/unit/chains/test_shard_app.py",),
    ),
    Mistake(
        name="a-send-pays-what-gas-costs-on-its-own-shard",
        file="node/execution/evm/precompile_beacon.py",
        old="        facts.base_fee if vm.context.base_fee else 0,",
        new="        0,",
        suite=unit("room"),
    ),
    Mistake(
        name="a-price-at-slash-of-the-cheapest-shard",
        file="node/view/network.py",
        old="FeeRange(tuple(blocks), max(next_base_fee(header) for header in priced))",
        new="FeeRange(tuple(blocks), min(next_base_fee(header) for header in priced))",
        suite=("tests/unit/view/test_prices.py",),
    ),
    Mistake(
        name="burned-wei-are-not-counted",
        file="node/shard/messenger.py",
        old="        state.set_storage(MESSENGER, BURNED_SLOT, burned(state) + wei)",
        new="        state.set_storage(MESSENGER, BURNED_SLOT, wei)",
        suite=unit("arrivals", "chain", "departures"),
    ),
    Mistake(
        name="the-pool-asks-for-no-funds",
        file="node/shard/pool.py",
        old="        _check_funds(entry, queue, accounts.balance(tx.sender))\n",
        new="",
        suite=("tests/unit/shard/test_pool.py",),
    ),
)
