// Runs cases one after the other against the node at ATOLL_RPC; a line of JSON for each.
import assert from "node:assert/strict";

export const rpc = process.env.ATOLL_RPC;

export async function suite(cases) {
    for (const [name, run] of Object.entries(cases)) {
        let error = null;
        try {
            await run();
        } catch (raised) {
            error = String(raised.details ?? raised.innerError?.message ?? raised.message ?? raised).slice(0, 600);
        }
        console.log(JSON.stringify({ name, error }));
    }
    process.exit(0);
}

export async function until(holds) {
    for (let i = 0; i < 200; i++) {
        if (await holds()) return;
        await new Promise((done) => setTimeout(done, 50));
    }
    assert.fail("it did not come to hold");
}
