// usage: node viem.mjs URL KEY RECIPIENT COUNT PAUSE_MS: prints the ms of each transfer, as a JSON array.
import { createPublicClient, createWalletClient, defineChain, http } from "viem";
import { privateKeyToAccount } from "viem/accounts";

const [url, key, to, count, pause] = process.argv.slice(2);
const id = await createPublicClient({ transport: http(url) }).getChainId();
const chain = defineChain({
  id,
  name: "measured",
  nativeCurrency: { name: "Ether", symbol: "ETH", decimals: 18 },
  rpcUrls: { default: { http: [url] } },
});
const reader = createPublicClient({ chain, transport: http(url) });
const wallet = createWalletClient({ account: privateKeyToAccount(key), chain, transport: http(url) });
const times = [];
for (let i = 0; i < Number(count); i++) {
  await new Promise((wake) => setTimeout(wake, Number(pause)));
  const began = performance.now();
  const hash = await wallet.sendTransaction({ to, value: 1n });
  const receipt = await reader.waitForTransactionReceipt({ hash });
  times.push(performance.now() - began);
  if (receipt.status !== "success") throw new Error(`${hash} has failed`);
}
console.log(JSON.stringify(times));
process.exit(0);
