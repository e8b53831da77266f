"""Calls with overrides and authorizations, access lists, and proofs, on both shards."""

import pytest

from node.execution.trie.trie_proof import verify_proof
from node.primitives import rlp
from node.primitives.basics import keccak256
from node.query.port import ProvenAccount
from rpc.errors import ResourceUnavailable, ServerError
from rpc.wire import (
    AccountOverride,
    BlockOverrides,
    CallRequest,
    Overrides,
    SetCodeAuthorization,
)

ETHER = 10**18
EMPTY = b"\x99" * 20
RETURN_BALANCE = bytes.fromhex("47") + bytes.fromhex("5f5260205ff3")  # SELFBALANCE
RETURN_SLOT_1 = bytes.fromhex("600154") + bytes.fromhex("5f5260205ff3")


def word(value):
    return value.to_bytes(32, "big")


def opcode(code):
    """Code that returns what this opcode pushes."""
    return bytes.fromhex(code + "5f5260205ff3")


@pytest.fixture(params=[0, 1], ids=["own", "remote"])
def user(net, request):
    return net.users[request.param][0]


async def run(views, code, *, block=None, to=EMPTY, **account):
    overrides = Overrides(
        accounts={to: AccountOverride(code=code, **account)}, block=block or BlockOverrides()
    )
    return int.from_bytes(await views.network.call(CallRequest(to=to), "latest", overrides), "big")


async def test_accounts_are_overridden(net, user):
    views = net.views()
    assert await run(views, RETURN_BALANCE, to=user.address, balance=7) == 7
    assert await run(views, RETURN_BALANCE, to=user.address) == 1000 * ETHER
    assert await run(views, RETURN_SLOT_1, to=user.address, state={1: 5}) == 5
    assert await run(views, RETURN_SLOT_1, to=user.address, state_diff={1: 6}) == 6
    assert await run(views, RETURN_SLOT_1, to=user.address, state_diff={2: 6}) == 0
    assert await views.network.code(user.address, "latest") == b""  # nothing has stayed


async def test_an_account_that_is_overridden_is_there(net, user):
    """As in simulated blocks: code may ask for the balance that an account of the other shard was given."""
    views = net.views()
    others = [u.address for users in net.users for u in users[1:]]
    for other in others:
        code = opcode("73" + other.hex() + "31")
        accounts = {user.address: AccountOverride(code=code), other: AccountOverride(balance=7)}
        request = CallRequest(from_=other, to=user.address)
        output = await views.network.call(request, "latest", Overrides(accounts=accounts))
        assert int.from_bytes(output, "big") == 7


async def test_a_whole_storage_is_replaced_or_patched(net, code):
    alice = net.users[0][0]
    views = net.views()
    contract = keccak256(rlp.encode([alice.address, b""]))[12:]
    await views.network.send_raw_transaction(alice.sign(None, data=code[0], gas=300_000))
    net.round()
    await views.network.send_raw_transaction(alice.sign(contract, data=word(5), gas=90_000))
    net.settle()
    call = CallRequest(to=contract)

    async def slot_0(**override):
        accounts = {contract: AccountOverride(**override)}
        return await views.network.call(call, "latest", Overrides(accounts=accounts))

    assert await slot_0() == word(5)
    assert await slot_0(state_diff={1: 9}) == word(5)
    assert await slot_0(state_diff={0: 9}) == word(9)
    assert await slot_0(state={1: 9}) == word(0)
    assert await slot_0(state={0: 8}) == word(8)


async def test_the_block_is_overridden(net):
    views = net.views()
    for field, value, op in (
        ("number", 77, "43"),
        ("time", 10**10, "42"),
        ("gas_limit", 123, "45"),
        ("fee_recipient", EMPTY, "41"),
        ("prev_randao", word(3), "44"),
        ("blob_base_fee", 11, "4a"),
    ):
        expected = value if isinstance(value, int) else int.from_bytes(value, "big")
        assert await run(views, opcode(op), block=BlockOverrides(**{field: value})) == expected


async def test_funds_for_a_crossing_call_may_be_made_up(net):
    views = net.views()
    alice, carol = net.users[0][1], net.users[1][0]
    request = CallRequest(from_=EMPTY[:19] + b"\1", to=carol.address, value=5 * ETHER)
    if views.atoll._beacon.state_at(0).home(request.from_) == 1:
        request = CallRequest(from_=alice.address, to=carol.address, value=5000 * ETHER)
    with pytest.raises(ServerError, match="insufficient funds"):
        await views.network.call(request, "latest")
    rich = Overrides(accounts={request.from_: AccountOverride(balance=9000 * ETHER)})
    assert await views.network.call(request, "latest", rich) == b""
    assert await views.network.estimate_gas(request, "latest", rich) == 21_000


def authorized(user, target):
    """What lets `target` be the code of an account that has sent nothing yet."""
    digest = keccak256(b"\x05" + rlp.encode([rlp.int_to_bytes(1337), target, b""]))
    signature = user.key.sign_digest(digest)
    return SetCodeAuthorization(
        chain_id=1337,
        address=target,
        nonce=0,
        y_parity=signature[64],
        r=int.from_bytes(signature[:32], "big"),
        s=int.from_bytes(signature[32:64], "big"),
    )


@pytest.mark.parametrize("question", ["call", "estimate_gas", "create_access_list"])
async def test_authorizations_over_a_border_are_refused_with_the_reason(net, question):
    """Of an account of the other shard, or for code that is there; at both shards' nodes."""
    (alice, bob), carol = net.users[0][:2], net.users[1][0]
    there = "0x" + carol.address.hex()
    for own in (0, 1):
        ask = getattr(net.views(own=own).network, question)
        for items, reason in (
            ([authorized(carol, bob.address)], f"the authorization of {there} can only be set"),
            (
                [authorized(bob, carol.address)],
                f"cannot delegate to {there}, which lives on shard 1",
            ),
        ):
            request = CallRequest(
                from_=alice.address, to=bob.address, authorization_list=tuple(items)
            )
            with pytest.raises(ServerError, match=reason):
                await ask(request, "latest", Overrides())


async def test_authorizations_take_effect_in_a_call(net):
    views = net.views()
    alice, bob = net.users[0][0], net.users[0][1]
    target = b"\x77" * 20
    authorization = authorized(bob, target)
    overrides = Overrides(accounts={target: AccountOverride(code=opcode("30"))})  # ADDRESS
    request = CallRequest(from_=alice.address, to=bob.address, authorization_list=(authorization,))
    output = await views.network.call(request, "latest", overrides)
    assert output[12:] == bob.address
    assert await views.network.estimate_gas(request, "latest", overrides) > 46_000


async def test_the_access_list_of_a_call(net, user):
    views = net.views()
    # SLOAD 1, EXTCODESIZE of EMPTY
    code = bytes.fromhex("60015450") + b"\x73" + EMPTY + bytes.fromhex("3b50")
    target = user.address
    overrides = Overrides(accounts={target: AccountOverride(code=code)})
    request = CallRequest(to=target)
    found = await views.network.create_access_list(request, "latest", overrides)
    assert {e.address: e.storage_keys for e in found.access_list} == {
        target: (word(1),),
        EMPTY: (),
    }
    assert found.error is None
    assert found.gas_used > 21_000 + 2 * 2400 + 1900


async def test_the_access_list_of_a_call_that_fails_and_of_a_creation(net, user):
    views = net.views()
    code = bytes.fromhex("600754505f5ffd")
    overrides = Overrides(accounts={user.address: AccountOverride(code=code)})
    failed = await views.network.create_access_list(
        CallRequest(to=user.address), "latest", overrides
    )
    assert failed.error == "execution reverted"
    assert [e.storage_keys for e in failed.access_list] == [(word(7),)]
    # the specification's example: a creation that writes slot 0x81
    made = await views.network.create_access_list(
        CallRequest(from_=user.address, data=bytes.fromhex("608060806080608155")), "latest"
    )
    created = keccak256(rlp.encode([user.address, b""]))[12:]
    assert [(e.address, e.storage_keys) for e in made.access_list] == [(created, (word(0x81),))]
    nothing = await views.network.create_access_list(
        CallRequest(from_=user.address, to=user.address), "latest"
    )
    assert (nothing.access_list, nothing.gas_used) == ((), 21_000)


async def test_proofs_hold_against_the_state_root_of_the_shard(net, user):
    views = net.views()
    net.round()
    proof = await views.network.proof(user.address, (0, 2**255), "latest")
    home = await views.atoll.home(user.address)
    root = net.beacon.state.tip(home).header.state_root
    assert proof.balance == 1000 * ETHER
    assert [entry.slot for entry in proof.storage] == [0, 2**255]
    assert verify_proof(root, keccak256(user.address), proof.account_proof)
    absent = await views.network.proof(EMPTY, (1,), "latest")
    assert (absent.balance, absent.nonce) == (0, 0)
    assert absent.storage[0].proof == ()


async def test_a_node_that_lies_about_an_account_is_not_believed(net):
    carol = net.users[1][0]
    honest = net.remote(1)

    class Liar:
        async def ask(self, question):
            proven = await honest.ask(question)
            fields = {name: getattr(proven, name) for name in proven.__struct_fields__}
            return ProvenAccount(**{**fields, **self.lies})

    liar = Liar()
    views = net.views(sources={1: liar})
    for lies in ({"balance": b"\xff"}, {"nonce": 5}, {"proof": []}, {"slots": []}):
        liar.lies = lies
        with pytest.raises(ResourceUnavailable, match="shard 1 is unavailable"):
            await views.network.proof(carol.address, (1,), "latest")
    liar.lies = {}
    assert (await views.network.proof(carol.address, (1,), "latest")).balance == 1000 * ETHER
