"""Messages at their destination: outcomes, replies, refunds (docs/protocol.md, "Messages and lanes").

Every message has an outcome, whatever it holds; nothing here can fail half way. Wei moves in step: the wei of a
message ends in the state, burned, or in another message.
"""

from dataclasses import replace

from node.execution.evm.results import CallResult
from node.execution.state.receipts import Log
from node.primitives.basics import Address
from node.primitives.message import Message, MessageKind
from node.primitives.messenger import MESSENGER
from node.primitives.placement import home_by_range
from node.shard import messenger
from node.shard.block_frame import BlockFrame

MAX_REPLY_BYTES = 1024
"""Bytes of a call's output that its reply carries."""


def deliver(frame: BlockFrame, message: Message, logs: list[Log]) -> tuple[bool, int]:
    """Execute a message that has arrived: (success, gas used).

    The caller sweeps: a refund to another shard lies on the account of `refund_to` until then.
    """
    if not may_speak(frame, message):
        return _refuse(frame, message)
    if not frame.is_home(message.to):
        return _forward(frame, message, logs)
    match message.kind:
        case MessageKind.CALL:
            return _deliver_call(frame, message, logs)
        case MessageKind.REPLY:
            messenger.set_cause(frame.state, message.id, message.src, message.sender)
            return _call_back(frame, message, logs)
        case (
            MessageKind.CREDIT | MessageKind.MIGRATE
        ):  # it should prepay no gas; nothing is lost if it does
            frame.state.add_balance(message.to, message.in_flight_wei)
            return True, 0


def may_speak(frame: BlockFrame, message: Message) -> bool:
    """True if a source that follows the rules can have sent this message, by the beacon's books at the anchor.

    A shard may only speak for accounts that live on it. So the `sender` of a message must live on the shard
    that sent it. A forwarded message is different: it comes from the shard of the address range of a contract
    that was born here. Senders use that shard until they know the contract's home, and that shard has checked
    the message. The books know every honest sender: births are applied before the lanes of the same crosslink,
    and the anchor has that crosslink. A contract that was born here lives here before the books know it; until
    then the shard of its range could speak for it. No shard speaks for the accounts of the protocol. Pure value
    needs no sender.
    """
    if message.kind not in (MessageKind.CALL, MessageKind.REPLY):
        return True
    if messenger.is_protocols(message.sender):
        return False
    if message.depth == 0:
        return frame.home(message.sender) == message.src
    is_range = home_by_range(message.to, frame.rules.shards) == message.src
    return is_range and frame.env.anchor.state.directory_entry(message.to) == frame.rules.shard


def runs(frame: BlockFrame, message: Message) -> bool:
    """True if a CALL is executed here."""
    return (
        message.kind is MessageKind.CALL
        and may_speak(frame, message)
        and frame.is_home(message.to)
        and message.gas <= frame.rules.message_gas
    )


def _refuse(frame: BlockFrame, message: Message) -> tuple[bool, int]:
    """Refuse a message: nothing runs and no reply is sent. The wei of a CALL go to its payer, because `sender`
    may be forged; the value of a REPLY goes to its recipient.
    """
    is_reply = message.kind is MessageKind.REPLY
    frame.state.add_balance(message.to if is_reply else message.refund_to, message.value)
    _pay(frame, message, 0, message.all_gas)
    return False, 0


def _forward(frame: BlockFrame, message: Message, logs: list[Log]) -> tuple[bool, int]:
    """Forward a message whose recipient lives on another shard by now.

    It ends there: the shard that it is sent to has an anchor which is not older, and so knows of the home
    that it is sent to. Only a CREDIT of a source that breaks the rules can be sent on more than once.

    What such a source prepays, or says that it does, is not put on a lane of ours beyond what one of our own
    users may put there: all of them would have to wait for it.
    """
    dst = frame.home(message.to)
    if frame.env.anchor.state.is_frozen(dst):
        return _end_here(frame, message, logs)
    if message.kind in (MessageKind.CREDIT, MessageKind.MIGRATE):
        message = _pure_value(message)
        if not message.value:
            return False, 0
    elif max(message.gas, message.reply_gas) > frame.rules.message_gas or not frame.passes_on(
        message.src, dst, message.all_gas
    ):
        return _end_here(frame, message, logs)
    onward = replace(
        message,
        src=frame.rules.shard,
        dst=dst,
        depth=message.next_depth,
        in_reply_to=(message.first_id if message.kind is MessageKind.CALL else message.in_reply_to),
    )
    frame.send(onward, logs)
    return True, 0


def _pure_value(message: Message) -> Message:
    """The CREDIT that a sweep would send of all that a message brings."""
    return Message(
        src=message.src,
        dst=message.dst,
        seq=message.seq,
        kind=MessageKind.CREDIT,
        sender=message.to,
        to=message.to,
        value=message.in_flight_wei,
        refund_to=message.to,
        origin_tx=message.origin_tx,
        depth=message.depth,
    )


def _end_here(frame: BlockFrame, message: Message, logs: list[Log]) -> tuple[bool, int]:
    """End a message that cannot be forwarded, because the shard has stopped for good or the lane has no room. A
    CALL fails. The value of other messages stays under the account, and is swept from there. Prepaid gas goes
    back to its payer.
    """
    if message.kind is MessageKind.CALL:
        return _conclude(frame, message, None, logs)
    frame.state.add_balance(message.to, message.value)
    frame.state.add_balance(message.refund_to, message.all_gas * message.gas_price)
    return False, 0


def _deliver_call(frame: BlockFrame, message: Message, logs: list[Log]) -> tuple[bool, int]:
    """Run a CALL, unless it has more gas than a message may."""
    if message.gas > frame.rules.message_gas:
        return _conclude(frame, message, None, logs)
    messenger.set_cause(frame.state, message.id, message.src, message.sender)
    frame.state.add_balance(message.sender, message.value)
    result = _execute(frame, message, message.sender, message.value, logs)
    if not result.success:
        frame.state.add_balance(message.sender, -message.value)
    return _conclude(frame, message, result, logs)


def _conclude(
    frame: BlockFrame, message: Message, result: CallResult | None, logs: list[Log]
) -> tuple[bool, int]:
    """Pay for a CALL and tell its sender. It failed where `result` (None: not run) says so; its value is
    on no account then.

    A sender of a third shard, whose CALL was sent on to us, is told as far as there is room for what `src` has
    us send there.
    """
    state, price, home = frame.state, message.gas_price, frame.home(message.sender)
    is_here = home == frame.rules.shard
    success = result is not None and result.success
    gas_used = result.gas_used if result is not None else 0
    told = (
        message.callback
        and message.reply_gas <= frame.rules.message_gas
        and not frame.env.anchor.state.is_frozen(home)
        and (is_here or frame.passes_on(message.src, home, message.reply_gas))
    )
    reserved = message.reply_gas if told else 0
    _pay(frame, message, gas_used, message.all_gas - reserved)
    returned = 0 if success else message.value
    if not told:
        state.add_balance(message.sender, returned)
        return success, gas_used
    reply = Message(
        src=frame.rules.shard,
        dst=home,
        seq=0,
        kind=MessageKind.REPLY,
        sender=message.to,
        to=message.sender,
        value=returned,
        gas=reserved,
        gas_price=price,
        refund_to=message.refund_to,
        data=_call_data(message, success, result.output if result is not None else b""),
        in_reply_to=message.first_id,
        origin_tx=message.origin_tx,
    )
    if is_here:
        messenger.set_cause(state, message.id, message.src, message.to)
        _, more = _call_back(frame, reply, logs)
        gas_used += more
    else:
        frame.send(reply, logs)
    return success, gas_used


def _call_back(frame: BlockFrame, reply: Message, logs: list[Log]) -> tuple[bool, int]:
    """Pay the value, which nothing undoes, then run the callback from MESSENGER with the prepaid gas."""
    frame.state.add_balance(reply.to, reply.value)
    if reply.gas > frame.rules.message_gas:
        _pay(frame, reply, 0, reply.all_gas)
        return False, 0
    result = _execute(frame, reply, MESSENGER, 0, logs)
    _pay(frame, reply, result.gas_used, reply.all_gas)
    return result.success, result.gas_used


def _execute(
    frame: BlockFrame, message: Message, caller: Address, value: int, logs: list[Log]
) -> CallResult:
    """Call `to` with the message's data and gas. ORIGIN is the payer of the message."""
    result = frame.evm.apply_call(
        frame.state,
        frame.context,
        sender=caller,
        to=message.to,
        value=value,
        data=message.data,
        gas=message.gas,
        gas_price=message.gas_price,
        origin=message.refund_to,
    )
    frame.burned += result.burned
    frame.births += result.created
    frame.note_console(result.console)
    logs.extend(result.logs)
    frame.take_sends(result.logs, message.origin_tx, logs)
    return result


def _pay(frame: BlockFrame, message: Message, used: int, prepaid: int) -> None:
    """Burn and tip the used part of the `prepaid` gas, and return the rest to its payer."""
    price = message.gas_price
    burned = used * min(frame.base_fee, price)
    frame.burned += burned
    frame.state.add_balance(frame.env.coinbase, used * price - burned)
    frame.state.add_balance(message.refund_to, (prepaid - used) * price)


def _call_data(message: Message, success: bool, output: bytes) -> bytes:
    """callback(bytes32 id, bool ok, bytes data), as the ABI has it."""
    told = output[:MAX_REPLY_BYTES]
    words = int(success), 3 * 32, len(told)
    arguments = message.first_id + b"".join(word.to_bytes(32, "big") for word in words)
    return message.callback + arguments + told + b"\0" * (-len(told) % 32)
