"""The development keys beside the genesis."""

import json

from node.primitives.keys import SigningKey
from node.view.wallet.dev_keys import load_dev_keys

KEY = SigningKey(b"\x01" * 32)


def write(tmp_path, content):
    (tmp_path / "accounts.json").write_text(content)
    return tmp_path / "genesis.json"


def rows(key):
    address = "0x" + key.address.hex()
    return json.dumps([{"address": address, "privateKey": "0x" + key.secret.hex(), "home": 0}])


def test_only_the_listed_accounts_have_keys(tmp_path):
    genesis = write(tmp_path, rows(KEY))
    assert list(load_dev_keys(genesis, [KEY.address])) == [KEY.address]
    assert load_dev_keys(genesis, [b"\1" * 20]) == {}
    assert load_dev_keys(genesis, []) == {}


def test_a_node_starts_without_the_file_or_with_a_bad_one(tmp_path):
    assert load_dev_keys(tmp_path / "genesis.json", [KEY.address]) == {}
    for content in ("", "{}", '[{"address": "0x", "privateKey": "0xzz"}]', "[1]"):
        assert load_dev_keys(write(tmp_path, content), [KEY.address]) == {}
    short = '[{"address": "0x", "privateKey": "0x01"}]'
    assert load_dev_keys(write(tmp_path, short), [KEY.address]) == {}
