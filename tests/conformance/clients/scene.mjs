// What test_clients.py made for the scripts: the endpoint, the accounts of both shards, the contract.
import { readFileSync } from "node:fs";

const scene = JSON.parse(readFileSync(process.env.ATOLL_SCENE, "utf8"));

export const { http, ws, contract, chainId, prices } = scene;

// Each script has its own accounts, so that two scripts never share a nonce: users(n)[shard].
export function users(script) {
  return scene.users.map((ofShard) => ofShard[script]);
}

// Poll until `read` gives something true; the deadline is generous since machines are slow.
export async function until(read, what) {
  const deadline = Date.now() + 60_000;
  for (;;) {
    const found = await read();
    if (found) return found;
    if (Date.now() > deadline) throw new Error(`waited 60 s for ${what}`);
    await new Promise((wake) => setTimeout(wake, 50));
  }
}
