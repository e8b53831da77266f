"""Proofs of messages: from a network into a file, and from the file to the proven facts."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from node.commands.common import DEFAULT_DIRECTORY, Directory, Json, print_json
from node.primitives.errors import AtollError, UserError
from node.terminal import plain_json, say

if TYPE_CHECKING:
    from node.light.verify import FinalisedPlace, ProvenMessage


def prove(
    message_id: Annotated[str, Parameter(name="ID", negative="")],
    /,
    *,
    directory: Directory = DEFAULT_DIRECTORY,
    out: Annotated[Path | None, Parameter(name=["--out", "-o"])] = None,
    json: Json = False,
) -> int:
    """Write the proof of a cross-shard message, for `atoll verify`. Exits 1 while there is none.

    Parameters
    ----------
    message_id
        The id of the message: 0x and 64 hex digits.
    out
        The file to write; standard output if left out.
    """
    from node.cluster.client.ask import ask_network
    from node.cluster.client.units import parse_hash
    from node.cluster.layout import load_layout
    from node.cluster.show.tables import encode_document

    layout, wanted = load_layout(directory), parse_hash(message_id)
    document = ask_network(layout, "atoll_proveMessage", wanted)
    if document is None:
        raise AtollError(f"no shard knows a message {message_id}")
    text = encode_document(document)
    if out is None:
        sys.stdout.write(plain_json(text.decode()))
        return 0
    try:
        out.write_bytes(text)
    except OSError as error:
        raise UserError(f"{out}: cannot be written: {error.strerror}") from None
    if json:
        print_json({"file": str(out), "size": len(text)})
        return 0
    say(f"{len(text):,} bytes in {out}; with the genesis it is checked by")
    say(f"    atoll verify {out} --genesis genesis.json")
    return 0


def verify(
    file: Annotated[Path, Parameter(name="FILE", negative="")],
    /,
    *,
    genesis: Path | None = None,
    directory: Directory = DEFAULT_DIRECTORY,
    json: Json = False,
) -> int:
    """Check the proof of a message with nothing but the genesis. Exits 1 if it proves nothing.

    No node is asked and no database is read.

    Parameters
    ----------
    file
        What `atoll prove` or atoll_proveMessage gave.
    genesis
        The genesis of the network; that of the directory if left out.
    """
    from node.light.codec import MAX_PROOF_BYTES, decode_proof
    from node.light.errors import InvalidProof
    from node.light.verify import verify as check
    from node.primitives.files import read_file
    from node.primitives.genesis import load_genesis

    root = load_genesis(genesis if genesis is not None else directory / "genesis.json")
    text = read_file(file, what="a proof", limit=MAX_PROOF_BYTES)
    try:
        proven = check(root, decode_proof(text))
    except InvalidProof as error:
        raise AtollError(f"{file} proves nothing: {error}") from None
    if json:
        print_json(_document(proven))
    else:
        _show(proven)
    return 0


def _show(proven: "ProvenMessage") -> None:
    message, delivered = proven.message, proven.delivered
    kind, lane = message.kind.name, f"shard {message.src} to shard {message.dst}"
    say(f"message       0x{message.id.hex()}")
    say(f"              {kind}, number {message.seq} from {lane}")
    say(f"from          0x{message.sender.hex()}")
    say(f"to            0x{message.to.hex()}")
    say(f"value         {message.value} wei")
    say(f"gas           {message.gas} at {message.gas_price} wei")
    say(f"sent in       {_where(proven.sent)}")
    say(f"finalised in  beacon block {proven.sent.beacon}")
    if delivered is None:
        say("delivered in  not shown by this proof")
        return
    say(f"delivered in  {_where(delivered.place)}")
    say(f"finalised in  beacon block {delivered.place.beacon}")
    say(f"outcome       {delivered.outcome.value}")
    say(f"gas used      {delivered.gas_used}")


def _where(place: "FinalisedPlace") -> str:
    return (
        f"shard {place.shard}, block {place.block} (0x{place.block_hash.hex()}), item {place.index}"
    )


def _document(proven: "ProvenMessage") -> dict[str, object]:
    message, delivered = proven.message, proven.delivered
    arrival = None
    if delivered is not None:
        arrival = {
            **_place(delivered.place),
            "outcome": delivered.outcome.value,
            "gasUsed": delivered.gas_used,
        }
    return {
        "id": "0x" + message.id.hex(),
        "kind": message.kind.name,
        "src": message.src,
        "dst": message.dst,
        "seq": message.seq,
        "from": "0x" + message.sender.hex(),
        "to": "0x" + message.to.hex(),
        "value": hex(message.value),
        "gas": message.gas,
        "gasPrice": hex(message.gas_price),
        "data": "0x" + message.data.hex(),
        "originTx": "0x" + message.origin_tx.hex(),
        "sent": _place(proven.sent),
        "delivered": arrival,
    }


def _place(place: "FinalisedPlace") -> dict[str, object]:
    return {
        "shard": place.shard,
        "block": place.block,
        "blockHash": "0x" + place.block_hash.hex(),
        "index": place.index,
        "beaconBlock": place.beacon,
    }
