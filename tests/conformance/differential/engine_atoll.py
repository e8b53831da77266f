"""Our execution behind the protocol of `wire`."""

from typing import Any

from node.concurrency.interpreter import check_interpreter
from node.execution.evm.evm import Evm
from node.execution.frame.context import BlockContext
from node.execution.state.genesis import GenesisAccount, build_genesis
from node.execution.state.state import State
from node.execution.state.state_store import StateStore
from node.primitives import rlp
from node.primitives.basics import Address, Hash32, keccak256
from node.primitives.errors import DecodeError, InvalidTransaction
from node.primitives.transaction import decode_transaction
from tests.conformance.differential.wire import serve


class Chain:
    """A state store in memory; every `seal` is a block that is committed and opened again."""

    def __init__(self, accounts: dict[str, Any]) -> None:
        genesis = build_genesis(
            {
                Address(bytes.fromhex(address)): GenesisAccount(
                    balance=int(account["balance"], 16),
                    nonce=account["nonce"],
                    code=bytes.fromhex(account["code"]),
                    storage={int(k, 16): int(v, 16) for k, v in account["storage"].items()},
                )
                for address, account in accounts.items()
            }
        )
        self._nodes = dict(genesis.nodes)
        self._store = StateStore(self._nodes.get)
        self.state = self._store.open(genesis.root)

    def seal(self) -> str:
        delta = self.state.seal()
        self._nodes.update(delta.nodes)
        self.state = self._store.open(delta.root)
        return delta.root.hex()


def run(case: dict[str, Any]) -> dict[str, Any]:
    block = case["block"]
    context = BlockContext(
        chain_id=case["chain_id"],
        number=block["number"],
        timestamp=block["timestamp"],
        coinbase=Address(bytes.fromhex(block["coinbase"])),
        gas_limit=block["gas_limit"],
        base_fee=block["base_fee"],
        prev_randao=Hash32(bytes.fromhex(block["prev_randao"])),
        parent_beacon_block_root=Hash32(bytes.fromhex(block["beacon_root"])),
        block_hash=lambda height: keccak256(str(height).encode()),
    )
    evm = Evm(context.chain_id)
    chain = Chain(case["accounts"])
    if case["system"]:
        evm.begin_block(chain.state, context)
    available = context.gas_limit
    outcomes: list[dict[str, Any]] = []
    roots = []
    for wire in case["transactions"]:
        try:
            tx = decode_transaction(bytes.fromhex(wire))
            result = evm.apply_transaction(chain.state, context, tx, gas_available=available)
        except (InvalidTransaction, DecodeError) as error:
            outcomes.append({"invalid": str(error)})
        else:
            logs = rlp.encode([log.items() for log in result.logs])
            outcomes.append(
                {
                    "status": int(result.success),
                    "gas": result.gas_used,
                    "logs": keccak256(logs).hex(),
                    "error": result.error,
                }
            )
            if not case["separate"]:
                available -= result.gas_used
        if case["separate"]:
            roots.append(chain.seal())
    if not case["separate"]:
        roots.append(chain.seal())
    answer: dict[str, Any] = {"outcomes": outcomes, "roots": roots}
    if case["dump"]:
        answer["accounts"] = _dump(chain.state, case["dump"])
    return answer


def _dump(state: State, wanted: dict[str, list[str]]) -> dict[str, Any]:
    """The accounts and slots that are asked for: a trie of hashes cannot list its own."""
    found = {}
    for text, slots in wanted.items():
        address = bytes.fromhex(text)
        account = state.account(address)
        if account is not None:
            values = {slot: hex(state.storage(address, int(slot, 16))) for slot in slots}
            found[text] = {
                "balance": hex(account.balance),
                "nonce": account.nonce,
                "code": state.code(address).hex(),
                "storage": {slot: value for slot, value in values.items() if value != "0x0"},
            }
    return found


if __name__ == "__main__":
    check_interpreter()
    serve(run)
