"""The first block of a shard: the accounts that live there, and those that every shard has."""

from dataclasses import replace

from node.execution.state.genesis import GenesisAccount, build_genesis, genesis_alloc_system
from node.execution.state.state_delta import StateDelta
from node.primitives.basics import ZERO_ADDRESS, ZERO_HASH, Address, ShardId
from node.primitives.errors import UserError
from node.primitives.genesis import Genesis
from node.primitives.header import Header
from node.primitives.messenger import MESSENGER, STAKING, is_everywhere, messenger_code
from node.primitives.placement import home_by_range
from node.primitives.predeploys import ON_ONE_SHARD, PREDEPLOYS
from node.primitives.requests import ShardRequests
from node.shard.messenger import STAKING_CODE


def shard_genesis(genesis: Genesis, shard: ShardId) -> tuple[Header, StateDelta]:
    """The genesis header of `shard` and the state it commits to."""
    alloc: dict[Address, GenesisAccount] = dict(genesis_alloc_system())
    code = messenger_code(shard, genesis.shards, genesis.params)
    alloc[MESSENGER] = GenesisAccount(nonce=1, code=code)
    alloc[STAKING] = GenesisAccount(nonce=1, code=STAKING_CODE)
    for predeploy, code in PREDEPLOYS.items():
        alloc[predeploy] = GenesisAccount(nonce=1, code=code)
    for address, code in ON_ONE_SHARD.items():
        if home_by_range(address, genesis.shards) == shard:
            alloc[address] = GenesisAccount(nonce=1, code=code)
    for address, wei in genesis.balances().items():
        if home_by_range(address, genesis.shards) == shard:
            alloc[address] = replace(alloc.get(address, GenesisAccount()), balance=wei)
    for address, contract in genesis.accounts().items():
        if is_everywhere(address):
            raise UserError(
                f"genesis: contracts: 0x{address.hex()} is an account that every shard has"
            )
        if home_by_range(address, genesis.shards) == shard:
            alloc[address] = replace(
                alloc.get(address, GenesisAccount()),
                nonce=contract.nonce,
                code=contract.code_bytes(),
                storage=contract.words(),
            )
    delta = build_genesis(alloc)
    header = Header(
        parent_hash=ZERO_HASH,
        coinbase=ZERO_ADDRESS,
        state_root=delta.root,
        number=0,
        gas_limit=genesis.params.gas_limit,
        timestamp=genesis.timestamp,
        extra_data=b"atoll/%d" % shard,
        prev_randao=ZERO_HASH,
        base_fee_per_gas=genesis.params.base_fee,
        parent_beacon_block_root=ZERO_HASH,
        requests_hash=ShardRequests().hash,
    )
    return header, delta
