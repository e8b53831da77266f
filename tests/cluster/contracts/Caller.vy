# pragma version 0.4.3
"""A contract that calls, reads and pays others, in all the ways in which compilers do it."""

interface Other:
    def poke(): nonpayable
    def number() -> uint256: view

interface Receiver:
    def onERC721Received(operator: address, owner: address, token: uint256, data: Bytes[1]) -> bytes4: nonpayable

number: public(uint256)
owner: public(address)


@external
def poke():
    self.number += 1


@external
def without_result(to: address):
    extcall Other(to).poke()


@external
def with_result(to: address):
    self.number = staticcall Other(to).number()


@external
def by_delegation(to: address):
    raw_call(to, method_id("poke()"), is_delegate_call=True)


@external
def at_low_level(to: address):
    assert raw_call(to, method_id("poke()"), revert_on_failure=False), "the other one failed"


@external
def read_balance(to: address):
    self.number = to.balance


@external
def safe_transfer(to: address):
    """As ERC-721 has it: a contract has to agree, an account without code has not."""
    self.owner = to
    if to.is_contract:
        answer: bytes4 = extcall Receiver(to).onERC721Received(msg.sender, self, 1, b"")
        assert answer == method_id("onERC721Received(address,address,uint256,bytes)", output_type=bytes4)


@external
@payable
def pay(to: address):
    raw_call(to, b"", value=msg.value)
