"""Proofs that a node gives of messages, and what the verifier reads from them."""

from dataclasses import replace

import msgspec
import pytest

from consensus.signing import vote_sign_bytes
from consensus.types import Certificate, VoteType
from node.beacon.validators import Roster, Seat
from node.cli import main
from node.light.build import beacon_step, committee_changes
from node.light.codec import decode_proof, proof_document
from node.light.errors import InvalidProof
from node.light.verify import Outcome, verify
from node.primitives.basics import Address, keccak256
from node.primitives.births import contract_address
from node.primitives.genesis import encode_genesis, parse_address
from node.primitives.message import Message, MessageKind
from node.primitives.messenger import MESSENGER
from node.primitives.placement import home_by_range
from node.query import legs
from rpc.errors import ResourceUnavailable, ServerError

ETHER = 10**18


def sent(net, shard):
    """The messages of the shard's newest block."""
    chain = net.chains[shard]
    return [message for _, message in chain.sent_in(chain.head.number)]


async def transfer(net, views, src=0, dst=1, value=ETHER, gas=25_000):
    """Send from one shard to the other and make the block that sends the message."""
    tx = net.users[src][0].sign(net.users[dst][1].address, value, gas=gas)
    await views.backend.chain(None).send_raw_transaction(tx)
    net.step(src)
    (message,) = sent(net, src)
    return message


async def proof_of(views, message):
    document = await views.backend.atoll.prove_message(message.id)
    return decode_proof(msgspec.json.encode(document))


async def test_a_message_is_proven_from_the_moment_it_is_crosslinked(net):
    views = net.views()
    assert await views.backend.atoll.prove_message(b"\1" * 32) is None
    message = await transfer(net, views)
    with pytest.raises(ServerError, match="no beacon block has taken in block 1 of shard 0 yet"):
        await views.backend.atoll.prove_message(message.id)

    number = net.crosslink()
    proven = verify(net.genesis, await proof_of(views, message))
    assert proven.message == message
    assert proven.delivered is None
    place = proven.sent
    assert (place.shard, place.block, place.index, place.beacon) == (0, 1, 0, number)
    assert place.block_hash == net.chains[0].head.hash

    net.step(1)
    assert (await proof_of(views, message)).delivered is None
    number = net.crosslink()
    delivered = verify(net.genesis, await proof_of(views, message)).delivered
    assert delivered is not None
    place = delivered.place
    assert (place.shard, place.block, place.index, place.beacon) == (1, 1, 0, number)
    assert (delivered.outcome, delivered.gas_used) == (Outcome.OK, 0)
    assert message.kind is MessageKind.CALL


async def test_both_shards_may_be_far_away(net):
    views = net.views()
    message = await transfer(net, views, 1, 0)
    net.settle()
    for own in (0, 1):
        proof = await proof_of(net.views(own=own), message)
        assert verify(net.genesis, proof).delivered is not None


async def test_the_gas_and_the_failure_of_a_call(net, code):
    """A contract on shard 1 that runs, and reverts for a word of zeros."""
    init, _, _ = code
    views, owner = net.views(), net.users[1][0]
    address = contract_address(owner.address, owner.nonce)
    await views.backend.chain(None).send_raw_transaction(owner.sign(None, data=init, gas=500_000))
    net.settle()
    results = []
    for word in (7, 0):
        data = word.to_bytes(32, "big")
        tx = net.users[0][0].sign(address, ETHER if not word else 0, data, gas=120_000)
        await views.backend.chain(None).send_raw_transaction(tx)
        net.step(0)
        (message,) = sent(net, 0)
        net.settle()
        results.append(verify(net.genesis, await proof_of(views, message)).delivered)
    ran, failed = results
    assert (ran.outcome, failed.outcome) == (Outcome.OK, Outcome.FAILED)
    block = net.chains[1].receipts(ran.place.block)
    assert ran.gas_used == legs.gas_used(block, ran.place.index) > 20_000
    assert 0 < failed.gas_used < ran.gas_used


async def test_several_arrivals_in_one_block_have_their_own_gas(devnet_class, code):
    net = devnet_class(shards=3)
    init, _, _ = code
    views, owner = net.views(), net.users[2][0]
    address = contract_address(owner.address, owner.nonce)
    await views.backend.chain(None).send_raw_transaction(owner.sign(None, data=init, gas=500_000))
    net.settle()
    messages = []
    for shard in (0, 1):
        for user in net.users[shard][:2]:
            tx = user.sign(address, 0, (9).to_bytes(32, "big"), gas=120_000)
            await views.backend.chain(None).send_raw_transaction(tx)
        net.step(shard)
        messages += sent(net, shard)
    net.crosslink()
    net.step(2)
    net.crosslink()
    delivered = [verify(net.genesis, await proof_of(views, m)).delivered for m in messages]
    assert sorted(d.place.index for d in delivered) == [0, 1, 2, 3]
    receipts = net.chains[2].receipts(delivered[0].place.block)
    assert sum(d.gas_used for d in delivered) == receipts[-1].cumulative_gas_used
    assert len({d.gas_used for d in delivered}) > 1
    # the arrival of another message proves nothing, true as it is
    first, other = [await proof_of(views, m) for m in messages[:2]]
    with pytest.raises(InvalidProof, match="is not the arrival of the message"):
        verify(net.genesis, replace(first, delivered=other.delivered))


async def test_committees_that_changed_are_followed_from_the_genesis(devnet_class):
    net = devnet_class(per_shard=4)
    views = net.views()
    before = await transfer(net, views)
    net.settle()
    for shard, member in ((0, 3), (1, 1), (1, 2), (0, 1)):
        net.jail(shard, member)
        net.round()
    after = await transfer(net, views)
    net.settle()

    proof = await proof_of(views, before)
    assert [s.header.height for s in proof.beacon] == [1, 2]
    proof = await proof_of(views, after)
    changes = [s.header.height for s in proof.beacon[:4]]
    assert len(proof.beacon) == 6
    seats = [len(net.beacon.state_at(h).beacon_committee()) for h in changes]
    assert seats == [7, 6, 5, 4]
    assert verify(net.genesis, proof).delivered is not None

    for index in range(4):
        left_out = (*proof.beacon[:index], *proof.beacon[index + 1 :])
        with pytest.raises(InvalidProof):
            verify(net.genesis, replace(proof, beacon=left_out))
    alone = replace(proof, beacon=proof.beacon[4:])
    with pytest.raises(InvalidProof):
        verify(net.genesis, alone)


async def test_a_change_cannot_be_left_out_where_the_certificate_fits_either_committee(
    devnet_class,
):
    """The one jailed has the highest address: the bits of the others mean the same before and after."""
    net = devnet_class(per_shard=4)
    views = net.views()
    places = {
        user.address: (s, n) for s, row in enumerate(net.members) for n, user in enumerate(row)
    }
    shard, member = places[max(places)]
    net.round()
    net.jail(shard, member)
    message = await transfer(net, views)
    net.crosslink()
    proof = await proof_of(views, message)
    assert len(proof.beacon) == 2
    assert len(proof.beacon[1].certificate.signatures) == 7
    with pytest.raises(InvalidProof, match="the committee has changed before this block") as caught:
        verify(net.genesis, replace(proof, beacon=proof.beacon[1:]))
    assert caught.value.where == "beacon[0]"


async def test_a_step_that_is_not_needed_is_refused(net):
    views = net.views()
    message = await transfer(net, views)
    net.settle()
    proof = await proof_of(views, message)
    idle = beacon_step(net.beacon, 3, ())
    with pytest.raises(InvalidProof, match="the step changes no committee"):
        verify(net.genesis, replace(proof, beacon=(*proof.beacon, idle)))


async def test_what_another_chain_or_another_vote_decided_proves_nothing(net):
    """Certificates are bound to network, chain, height, block and kind of vote."""
    views = net.views()
    message = await transfer(net, views)
    net.crosslink()
    proof = await proof_of(views, message)
    step = proof.beacon[0]
    block, height = step.header.hash, step.header.height
    members = net.beacon.beacon_committee()

    def with_votes(context, type=VoteType.PRECOMMIT, height=height, block=block):
        preimage = vote_sign_bytes(context, type, height, 0, block)
        signatures = tuple(net.keys[m.address].sign_digest(keccak256(preimage)) for m in members)
        certificate = Certificate(
            height=step.header.height,
            round=0,
            block_id=step.header.hash,
            signers=(1 << len(members)) - 1,
            signatures=signatures,
        )
        changed = replace(step, certificate=certificate)
        return verify(net.genesis, replace(proof, beacon=(changed,)))

    own = net.rules.beacon_context()
    assert with_votes(own).message == message
    for context in (
        net.rules.shard_context(0),
        replace(own, tag=b"beacon2"),
        replace(own, genesis=keccak256(b"another network")),
    ):
        with pytest.raises(InvalidProof, match="does not recover"):
            with_votes(context)
    for other in ({"type": VoteType.PREVOTE}, {"height": height + 1}, {"block": keccak256(b"x")}):
        with pytest.raises(InvalidProof, match="does not recover"):
            with_votes(own, **other)


async def test_another_network_is_told_apart(devnet_class, net):
    views = net.views()
    message = await transfer(net, views)
    net.crosslink()
    proof = await proof_of(views, message)
    other = msgspec.structs.replace(net.genesis, timestamp=net.genesis.timestamp + 1)
    with pytest.raises(InvalidProof, match="the proof is of the network 0x"):
        verify(other, proof)
    # whoever claims that it is of the other network needs the other network's validators
    strangers = devnet_class(per_shard=2).genesis
    with pytest.raises(InvalidProof) as caught:
        verify(strangers, replace(proof, genesis=strangers.hash))
    assert caught.value.where == "beacon[0].certificate"


async def test_stake_counts_and_not_heads(devnet_class):
    """Of four with stakes 1, 1, 1 and 6 no three small ones decide anything."""
    net = devnet_class()
    views = net.views()
    message = await transfer(net, views)
    net.crosslink()
    proof = await proof_of(views, message)
    poor, rich = net.genesis.validators
    heavy = msgspec.structs.replace(
        net.genesis, validators=[poor, msgspec.structs.replace(rich, stake=3 * rich.stake)]
    )
    certificate = proof.beacon[0].certificate
    context = replace(net.rules.beacon_context(), genesis=heavy.hash)
    vote = VoteType.PRECOMMIT, certificate.height, certificate.round, certificate.block_id
    digest = keccak256(vote_sign_bytes(context, *vote))
    members = sorted(net.beacon.beacon_committee(), key=lambda member: member.address)
    for validator, enough in ((poor, False), (rich, True)):
        bit = [member.address for member in members].index(parse_address(validator.address))
        own = net.keys[members[bit].address].sign_digest(digest)
        signed = replace(certificate, signers=1 << bit, signatures=(own,))
        step = replace(proof.beacon[0], certificate=signed)
        mutant = replace(proof, genesis=heavy.hash, beacon=(step,))
        with pytest.raises(InvalidProof) as caught:
            verify(heavy, mutant)
        # the state of this chain has the old stakes: a quorum gets as far as the committee in it
        assert ("no more than two thirds" in str(caught.value)) is not enough
        assert ("the committee has changed" in str(caught.value)) is enough


async def test_a_node_that_lies_is_found_out_before_it_is_believed(net):
    message = await transfer(net, net.views(), 1, 0)
    net.settle()
    honest = net.remote(1)

    class Liar:
        def __init__(self, **answers):
            self.answers = answers

        async def ask(self, question):
            told = await honest.ask(question)
            return self.answers.get(question.op(), lambda told: told)(told)

    def other_place(told):
        return msgspec.structs.replace(told, height=told.height + 1)

    def other_message(told):
        altered = replace(Message.decode(told.message), value=7)
        return msgspec.structs.replace(told, message=altered.encoded)

    def other_receipts(told):
        return msgspec.structs.replace(told, receipts=[*told.receipts[:-1], b"\x02nonsense"])

    lies = (
        {"sent": other_place},
        {"sent": other_message},
        {"block": other_receipts},
        {"block": lambda told: msgspec.structs.replace(told, receipts=[])},
        {"storage": lambda told: b"\1" * 32},
        {"prove": lambda told: msgspec.structs.replace(told, proof=told.proof[:-1])},
        {"find_message": lambda told: msgspec.structs.replace(told, seq=told.seq + 1)},
    )
    assert await net.views(own=1, sources={1: Liar()}).backend.atoll.prove_message(message.id)
    for lie in lies:
        with pytest.raises(ResourceUnavailable):
            await net.views(own=1, sources={1: Liar(**lie)}).backend.atoll.prove_message(message.id)


async def test_the_file_and_the_answer_are_the_same_proof(net):
    views = net.views()
    message = await transfer(net, views)
    net.settle()
    proof = await proof_of(views, message)
    assert decode_proof(msgspec.json.encode(proof_document(proof))) == proof
    assert proof_document(proof) == await views.backend.atoll.prove_message(message.id)


def test_changes_are_found_beyond_what_one_state_remembers():
    """Rosters forget seats that ended long ago; the state from which on they know has the older ones."""

    def seat(name, until=None):
        return Seat(address=Address(bytes([name]) * 20), power=1, until=until)

    class State:
        def __init__(self, *seats, known_from=0):
            self.roster = lambda chain: Roster(seats=seats, known_from=known_from)

    def state_at(height):
        if height >= 900:
            return State(seat(1), seat(2, 950), seat(3, 901), known_from=500)
        if height >= 500:
            return State(seat(1), seat(2), seat(3), seat(4, 400), known_from=300)
        return State(seat(1), seat(2), seat(3), seat(4), seat(5, 300), seat(6, 120))

    assert committee_changes(state_at, 1000) == [120, 300, 400, 901, 950]
    assert committee_changes(state_at, 920) == [120, 300, 400, 901]
    assert committee_changes(state_at, 100) == []


async def test_the_command_verify(net, tmp_path, capsys):
    """With nothing but the two files: what was proven, or one line that says what is wrong."""
    views = net.views()
    message = await transfer(net, views)
    net.settle()
    genesis, file = tmp_path / "genesis.json", tmp_path / "proof.json"
    genesis.write_bytes(encode_genesis(net.genesis))
    document = await views.backend.atoll.prove_message(message.id)
    file.write_bytes(msgspec.json.encode(document))
    arguments = ["verify", str(file), "--genesis", str(genesis)]

    assert main(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    departed, arrived = net.chains[0].header(1).hash, net.chains[1].header(2).hash
    assert lines[0] == f"message       0x{message.id.hex()}"
    assert lines[1] == "              CALL, number 0 from shard 0 to shard 1"
    assert lines[4] == f"value         {ETHER} wei"
    assert lines[6:] == [
        f"sent in       shard 0, block 1 (0x{departed.hex()}), item 0",
        "finalised in  beacon block 1",
        f"delivered in  shard 1, block 2 (0x{arrived.hex()}), item 0",
        "finalised in  beacon block 2",
        "outcome       ok",
        "gas used      0",
    ]

    assert main([*arguments, "--json"]) == 0
    told = msgspec.json.decode(capsys.readouterr().out)
    assert (told["id"], told["value"]) == ("0x" + message.id.hex(), hex(ETHER))
    assert told["sent"]["beaconBlock"] == 1
    assert told["delivered"]["outcome"] == "ok"
    assert told["delivered"]["gasUsed"] == 0

    document["sent"]["index"] = 1
    file.write_bytes(msgspec.json.encode(document))
    assert main(arguments) == 1
    out, error = capsys.readouterr()
    assert out == ""
    assert error.startswith(f"atoll: error: {file} proves nothing: sent.receipts: ")
    assert error.count("\n") == 1

    assert main(["verify", str(tmp_path / "absent"), "--genesis", str(genesis)]) == 2
    assert "absent: there is no such file; a proof is expected there" in capsys.readouterr().err
    assert main(["verify", str(file), "--dir", str(tmp_path)]) == 1  # its genesis.json


def send_call(to: bytes, data: bytes, gas: int, reply_gas: int, callback: bytes) -> bytes:
    """Calldata of MESSENGER's `send`."""
    selector = keccak256(b"send(address,bytes,uint256,uint256,bytes4)")[:4]
    words = (int.from_bytes(to, "big"), 160, gas, reply_gas)
    head = b"".join(word.to_bytes(32, "big") for word in words) + callback.ljust(32, b"\0")
    return selector + head + len(data).to_bytes(32, "big") + data + bytes(-len(data) % 32)


async def test_a_message_that_messenger_sent_and_its_reply(net, code):
    init, _, _ = code
    views, owner, alice = net.views(), net.users[1][0], net.users[0][0]
    target = contract_address(owner.address, owner.nonce)
    await views.backend.chain(None).send_raw_transaction(owner.sign(None, data=init, gas=500_000))
    net.settle()
    data = send_call(target, (5).to_bytes(32, "big"), 100_000, 50_000, b"\1\2\3\4")
    tx = alice.sign(MESSENGER, ETHER, data, gas=300_000)
    await views.backend.chain(None).send_raw_transaction(tx)
    net.step(0)
    (message,) = [m for m in sent(net, 0) if m.kind is MessageKind.CALL]
    assert (message.sender, message.to, message.gas) == (alice.address, target, 100_000)
    net.settle()
    proven = verify(net.genesis, await proof_of(views, message))
    assert proven.delivered.outcome is Outcome.OK
    assert proven.delivered.gas_used > 20_000

    caused = [m for _, m in net.chains[1].sent_in(proven.delivered.place.block)]
    assert MessageKind.REPLY in {back.kind for back in caused}
    for back in caused:
        proven = verify(net.genesis, await proof_of(views, back))
        assert proven.message == back
        assert (proven.sent.shard, proven.delivered.place.shard) == (1, 0)


async def test_a_message_whose_recipient_had_moved_is_forwarded_and_the_next_one_delivered(
    devnet_class, code
):
    """The contract is born on shard 0, away from its range (shard 1), while a call to it is under way."""
    net = devnet_class(3)
    views, owner, sender = net.views(), net.users[0][0], net.users[2][0]
    while home_by_range(contract_address(owner.address, owner.nonce), 3) != 1:
        await views.backend.chain(None).send_raw_transaction(owner.sign(owner.address))
    contract = contract_address(owner.address, owner.nonce)
    await views.backend.chain(None).send_raw_transaction(
        owner.sign(None, data=code[0], gas=300_000)
    )
    tx = sender.sign(contract, data=(9).to_bytes(32, "big"), gas=120_000)
    await views.backend.chain(None).send_raw_transaction(tx)
    net.settle()
    net.settle()
    _, first = net.chains[2].sent_in(1)[0]
    moved = verify(net.genesis, await proof_of(views, first)).delivered
    assert (moved.place.shard, moved.outcome, moved.gas_used) == (1, Outcome.FORWARDED, 0)
    _, second = net.chains[1].sent_in(moved.place.block)[0]
    ran = verify(net.genesis, await proof_of(views, second)).delivered
    assert (ran.place.shard, ran.outcome) == (0, Outcome.OK)
    assert ran.gas_used > 20_000
