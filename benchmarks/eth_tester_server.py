"""eth-tester with py-evm behind HTTP: `python eth_tester_server.py PORT`, in an environment that has both.

It is run by `benchmarks/network.py`. One request at a time; a block for each transaction, as eth-tester mines.
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock
from typing import Any

from eth_tester import EthereumTester, PyEVMBackend
from eth_tester.exceptions import TransactionNotFound
from eth_utils import to_canonical_address

KEY = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
RICH = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"


def make_tester() -> EthereumTester:
    genesis = PyEVMBackend.generate_genesis_params(overrides={"gas_limit": 30_000_000})
    state = {
        to_canonical_address(RICH): {
            "balance": 10**29, "nonce": 0, "code": b"", "storage": {},
        }
    }  # fmt: skip
    return EthereumTester(PyEVMBackend(genesis_parameters=genesis, genesis_state=state))


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    tester: EthereumTester
    turn = Lock()

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        try:
            with self.turn:
                answer = {"result": self.answer(request["method"], request["params"])}
        except Exception as error:  # noqa: BLE001
            answer = {"error": {"code": -32000, "message": str(error) or repr(error)}}
        body = json.dumps({"jsonrpc": "2.0", "id": request["id"], **answer}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def answer(self, method: str, params: list[Any]) -> Any:
        tester = self.tester
        match method:
            case "eth_chainId":
                return hex(131277322940537)
            case "eth_blockNumber":
                return hex(tester.get_block_by_number("latest")["number"])
            case "eth_gasPrice":
                return hex(10**9)
            case "eth_getTransactionCount":
                return hex(tester.get_nonce(params[0]))
            case "eth_sendRawTransaction":
                return tester.send_raw_transaction(params[0])
            case "eth_getTransactionReceipt":
                try:
                    receipt = tester.get_transaction_receipt(params[0])
                except TransactionNotFound:
                    return None
                return {
                    "status": hex(receipt["status"]),
                    "transactionHash": receipt["transaction_hash"],
                    "contractAddress": receipt["contract_address"],
                }
        raise ValueError(f"{method} is not served")

    def log_message(self, format: str, *args: Any) -> None:
        pass


if __name__ == "__main__":
    Handler.tester = make_tester()
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
