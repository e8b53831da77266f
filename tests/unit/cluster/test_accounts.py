"""The development accounts."""

import pytest

from node.cluster.accounts import derive_accounts
from node.primitives.errors import UserError
from node.primitives.placement import home_by_range


def test_they_are_the_usual_ones() -> None:
    accounts = derive_accounts(1, count=10)
    assert len(accounts) == 10
    assert accounts[0].address == "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
    assert accounts[0].private_key == (
        "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
    )
    assert accounts[9].address == "0xa0Ee7A142d267C1f36714E4a8F75612F20a79720"


@pytest.mark.parametrize("shards", [2, 4, 16])
def test_every_shard_is_home_to_enough(shards: int) -> None:
    accounts = derive_accounts(shards)
    homes = [int(account.home) for account in accounts]
    assert all(homes.count(shard) >= 3 for shard in range(shards))
    assert all(
        account.home == home_by_range(bytes.fromhex(account.address[2:]), shards)
        for account in accounts
    )
    assert len(accounts) == 10 or homes.count(homes[-1]) == 3  # none more than needed


def test_a_wrong_mnemonic_is_an_error_of_the_user() -> None:
    with pytest.raises(UserError, match=r"accounts\.mnemonic"):
        derive_accounts(1, mnemonic="not a mnemonic")
