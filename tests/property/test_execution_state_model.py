"""The journalled state against a model that copies everything at each snapshot."""

import copy
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from node.execution.state.genesis import GenesisAccount, build_genesis
from node.execution.state.state import State
from node.execution.state.state_store import StateStore
from node.primitives.basics import Address
from tests.support.effort import examples

ADDRESSES = [Address(bytes([n]) * 20) for n in range(1, 5)]
ADDRESS = st.sampled_from(ADDRESSES)
SLOT = st.integers(0, 3)
Model = dict[Address, GenesisAccount]


class StateMachine(RuleBasedStateMachine):
    """Balances, nonces, code and storage; snapshots, reverts, transactions, blocks."""

    def __init__(self) -> None:
        super().__init__()
        start = {ADDRESSES[0]: GenesisAccount(balance=7, nonce=1, storage={1: 5})}
        delta = build_genesis(start)
        self.disk = dict(delta.nodes)
        self.store = StateStore(self.disk.get, cache_nodes=8)
        self.state: State = self.store.open(delta.root)
        self.model: Model = start
        self.committed: Model = start
        self.deleted: set[Address] = set()  # in this transaction
        self.snapshots: list[tuple[int, Model]] = []
        self.before: Model = copy.deepcopy(start)  # when the transaction began

    def change(self, address: Address, **fields: Any) -> None:
        old = self.model.get(address, GenesisAccount())
        values = {name: getattr(old, name) for name in ("balance", "nonce", "code", "storage")}
        self.model = {**self.model, address: GenesisAccount(**{**values, **fields})}

    @rule(address=ADDRESS, balance=st.integers(0, 3))
    def set_balance(self, address: Address, balance: int) -> None:
        self.state.set_balance(address, balance)
        self.change(address, balance=balance)

    @rule(address=ADDRESS, nonce=st.integers(0, 2))
    def set_nonce(self, address: Address, nonce: int) -> None:
        self.state.set_nonce(address, nonce)
        self.change(address, nonce=nonce)

    @rule(address=ADDRESS, code=st.sampled_from([b"", b"\x01", b"\x02\x03"]))
    def set_code(self, address: Address, code: bytes) -> None:
        self.state.set_code(address, code)
        self.change(address, code=code)

    @rule(address=ADDRESS, slot=SLOT, value=st.integers(0, 200))
    def set_storage(self, address: Address, slot: int, value: int) -> None:
        if address not in self.model:
            return
        self.state.set_storage(address, slot, value)
        self.change(address, storage={**self.model[address].storage, slot: value})

    @rule(address=ADDRESS)
    def delete(self, address: Address) -> None:
        self.state.delete_account(address)
        self.deleted.add(address)
        self.model = {key: value for key, value in self.model.items() if key != address}

    @rule()
    def snapshot(self) -> None:
        self.snapshots.append((self.state.snapshot(), self.model))

    @precondition(lambda self: self.snapshots)
    @rule(data=st.data())
    def revert(self, data: st.DataObject) -> None:
        index = data.draw(st.integers(0, len(self.snapshots) - 1))
        snapshot, self.model = self.snapshots[index]
        del self.snapshots[index:]
        self.state.revert(snapshot)

    @rule()
    def begin_transaction(self) -> None:
        self.state.begin_transaction()
        self.snapshots.clear()
        self.deleted.clear()
        self.before = self.model

    @rule(decided=st.booleans())
    def end_block(self, decided: bool) -> None:
        parent = self.state.root
        delta = self.state.seal()
        alive = {
            address: account
            for address, account in self.model.items()
            if account.balance or account.nonce or account.code
        }
        assert delta.root == build_genesis(alive).root
        if decided:
            self.disk.update(delta.nodes)
            self.model = alive
            self.state = self.store.open(delta.root)
        else:
            self.state = self.store.open(parent)
            self.model = self.committed
        self.committed = self.model
        self.begin_transaction()

    @invariant()
    def the_state_reads_as_the_model(self) -> None:
        for address in ADDRESSES:
            account = self.model.get(address, GenesisAccount())
            assert self.state.balance(address) == account.balance
            assert self.state.nonce(address) == account.nonce
            assert self.state.code(address) == account.code
            for slot in range(4):
                assert self.state.storage(address, slot) == account.storage.get(slot, 0)

    @invariant()
    def originals_are_those_of_the_transactions_start(self) -> None:
        for address in self.before.keys() - self.deleted:
            for slot in range(4):
                before = self.before[address].storage.get(slot, 0)
                assert self.state.original_storage(address, slot) == before


TestState = StateMachine.TestCase
TestState.settings = settings(max_examples=examples(150), stateful_step_count=40)
