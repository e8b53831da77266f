"""Messages at their destination: outcomes, replies, refunds (docs/protocol.md, "Messages and lanes").

Whatever a message holds, there is an outcome; nothing here can fail half way. Wei moves in step: what a
message brings is in the state, burned, or in another message.
"""

from dataclasses import replace

from node.execution.receipts import Log
from node.execution.results import CallResult
from node.primitives.basics import Address
from node.primitives.message import MAX_DEPTH, Message, MessageKind
from node.shard import messenger
from node.shard.frame import BlockFrame

MAX_REPLY_BYTES = 1024
"""Of what a call returned, in its reply."""
MAX_WEI = 1 << 192
"""What a message brings is below this. There is less in the world (a genesis account has less than
2^128), and no number of messages below it can make a balance of 2^256."""


def deliver(frame: BlockFrame, message: Message, logs: list[Log]) -> tuple[bool, int]:
    """Execute a message that has arrived: (success, gas used).

    The caller sweeps: a refund to another shard lies on the account of `refund_to` until then.
    """
    if message.in_flight_wei >= MAX_WEI:  # wei that cannot exist: its source makes things up
        return False, 0
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


def _forward(frame: BlockFrame, message: Message, logs: list[Log]) -> tuple[bool, int]:
    """The recipient lives elsewhere by now: send on. A CALL at most MAX_DEPTH times, then it fails.

    Others always, since nobody could be refunded: the directory gives an address a new home at most once
    a move, so they cannot go in circles.
    """
    is_call = message.kind is MessageKind.CALL
    if is_call and message.depth >= MAX_DEPTH:
        return _conclude(frame, message, None, logs)
    if frame.env.anchor.state.is_frozen(frame.home(message.to)):
        return _end_here(frame, message, logs)
    onward = replace(
        message,
        src=frame.rules.shard,
        dst=frame.home(message.to),
        depth=message.depth + is_call,
        in_reply_to=message.first_id if is_call else message.in_reply_to,
    )
    frame.send(onward, logs)
    return True, 0


def _end_here(frame: BlockFrame, message: Message, logs: list[Log]) -> tuple[bool, int]:
    """The recipient lives on a shard that has stopped for good: a CALL fails, what others bring stays under
    the account, and prepaid gas goes back to who paid it."""
    if message.kind is MessageKind.CALL:
        return _conclude(frame, message, None, logs)
    frame.state.add_balance(message.to, message.value)
    frame.state.add_balance(message.refund_to, message.all_gas * message.gas_price)
    return False, 0


def _deliver_call(frame: BlockFrame, message: Message, logs: list[Log]) -> tuple[bool, int]:
    """Run a CALL, unless no source that follows the rules sends it.

    Another shard cannot speak for an account that lives here: a corrupt one could act as anybody. (What
    was sent on until it came back to the shard of its sender fails for that.)
    """
    if message.gas > frame.rules.message_gas or frame.is_home(message.sender):
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
    on no account then."""
    state, price = frame.state, message.gas_price
    success = result is not None and result.success
    gas_used = result.gas_used if result is not None else 0
    told = message.callback and not frame.env.anchor.state.is_frozen(frame.home(message.sender))
    reserved = message.reply_gas if told else 0
    _pay(frame, message, gas_used, message.all_gas - reserved)
    returned = 0 if success else message.value
    if not told:
        state.add_balance(message.sender, returned)
        return success, gas_used
    reply = Message(
        src=frame.rules.shard,
        dst=frame.home(message.sender),
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
    if frame.is_home(message.sender):
        messenger.set_cause(state, message.id, message.src, message.to)
        _, more = _call_back(frame, reply, logs)
        gas_used += more
    else:
        frame.send(reply, logs)
    return success, gas_used


def _call_back(frame: BlockFrame, reply: Message, logs: list[Log]) -> tuple[bool, int]:
    """The value first, which nothing undoes; then the callback, from MESSENGER, with the prepaid gas."""
    frame.state.add_balance(reply.to, reply.value)
    if reply.gas > frame.rules.message_gas:
        _pay(frame, reply, 0, reply.all_gas)
        return False, 0
    result = _execute(frame, reply, messenger.MESSENGER, 0, logs)
    _pay(frame, reply, result.gas_used, reply.all_gas)
    return result.success, result.gas_used


def _execute(
    frame: BlockFrame, message: Message, caller: Address, value: int, logs: list[Log]
) -> CallResult:
    """Call `to` with the message's data and gas. ORIGIN is who paid for it."""
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
    logs.extend(result.logs)
    frame.take_sends(result.logs, message.origin_tx, logs)
    return result


def _pay(frame: BlockFrame, message: Message, used: int, prepaid: int) -> None:
    """Of `prepaid` gas burn and tip what was used, and return the rest to who paid it."""
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
