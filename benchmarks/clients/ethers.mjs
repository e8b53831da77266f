// usage: node ethers.mjs URL KEY RECIPIENT COUNT PAUSE_MS: prints the ms of each transfer, as a JSON array.
import { JsonRpcProvider, Wallet } from "ethers";

const [url, key, to, count, pause] = process.argv.slice(2);
const wallet = new Wallet(key, new JsonRpcProvider(url));
const times = [];
for (let i = 0; i < Number(count); i++) {
  await new Promise((wake) => setTimeout(wake, Number(pause)));
  const began = performance.now();
  const sent = await wallet.sendTransaction({ to, value: 1n });
  const receipt = await sent.wait();
  times.push(performance.now() - began);
  if (receipt.status !== 1) throw new Error(`${sent.hash} has failed`);
}
console.log(JSON.stringify(times));
process.exit(0);
