"""Compile contracts/Multicall3.sol into the package: `.venv/bin/python tools/build_predeploys.py FOLDER`.

`FOLDER` is node_modules/solc of the package that tests/conformance/clients names; node runs it. Nodes use
what is checked in. The tests of tests/conformance/tools compile it again and compare.
"""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "contracts" / "Multicall3.sol"
TARGET = ROOT / "node" / "primitives" / "predeploys.json"


def compiled(solc: Path, source: Path = SOURCE) -> str:
    """The code that Multicall3 has on a chain, as hex; `solc` is the folder of npm's package."""
    request = {
        "language": "Solidity",
        "sources": {source.name: {"content": source.read_text()}},
        "settings": {
            "evmVersion": "paris",
            "optimizer": {"enabled": True, "runs": 1_000_000},
            "metadata": {"bytecodeHash": "none", "appendCBOR": False},
            "outputSelection": {"*": {"*": ["evm.deployedBytecode.object"]}},
        },
    }
    program = "process.stdout.write(require(process.argv[1]).compile(require('fs').readFileSync(0, 'utf8')))"
    done = subprocess.run(
        ["node", "-e", program, str(solc.resolve())],
        input=json.dumps(request),
        capture_output=True,
        text=True,
        check=True,
    )
    answer = json.loads(done.stdout)
    wrong = [e for e in answer.get("errors", ()) if e["severity"] == "error"]
    if wrong:
        raise SystemExit(wrong[0]["formattedMessage"])
    return (
        "0x" + answer["contracts"][source.name]["Multicall3"]["evm"]["deployedBytecode"]["object"]
    )


def text(codes: dict[str, str]) -> str:
    return json.dumps(codes, indent=1) + "\n"


if __name__ == "__main__":
    codes = json.loads(TARGET.read_text())
    TARGET.write_text(text({**codes, "multicall3": compiled(Path(sys.argv[1]))}))
    print(f"{TARGET.relative_to(ROOT)} written")
