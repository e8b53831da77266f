// js-libp2p against a running node: as a stranger, and as a peer that the node knows.
import "./before_node22.mjs";
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { generateKeyPair, generateKeyPairFromSeed } from "@libp2p/crypto/keys";
import { identify } from "@libp2p/identify";
import { noise } from "@libp2p/noise";
import { peerIdFromPrivateKey } from "@libp2p/peer-id";
import { ping } from "@libp2p/ping";
import { tcp } from "@libp2p/tcp";
import { byteStream } from "@libp2p/utils";
import { yamux } from "@libp2p/yamux";
import { multiaddr } from "@multiformats/multiaddr";
import { createLibp2p } from "libp2p";

// What test_libp2p.py says of the node: host, port, peerId, agent, protocols, and `seed` of its peer's key in hex.
const scene = JSON.parse(readFileSync(process.env.ATOLL_SCENE, "utf8"));
const transport = `/ip4/${scene.host}/tcp/${scene.port}`;
const address = multiaddr(`${transport}/p2p/${scene.peerId}`);
const [FRAMES, REQUESTS] = scene.protocols;

// docs/protocol.md, section 14: length u32 || kind u8 || payload
const CONTROL = 255, PING = 0, PONG = 1, ERAS = 4, REQUEST = 1, REFUSED = 5, UNKNOWN_METHOD = 0xff00;
const limit = () => ({ signal: AbortSignal.timeout(30_000) });

function start(privateKey) {
  return createLibp2p({
    privateKey,
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    services: { identify: identify({ runOnConnectionOpen: false }), ping: ping() },
  });
}

async function send(bytes, kind, payload) {
  const header = Buffer.alloc(5);
  header.writeUInt32BE(payload.length);
  header[4] = kind;
  await bytes.write(Buffer.concat([header, payload]), limit());
}

async function receive(bytes) {
  const header = Buffer.from((await bytes.read({ bytes: 5, ...limit() })).subarray());
  const length = header.readUInt32BE();
  const payload = length ? (await bytes.read({ bytes: length, ...limit() })).subarray() : [];
  return [header[4], Buffer.from(payload)];
}

async function shows(host) {
  const connection = await host.dial(address, limit());
  assert.equal(connection.encryption, "/noise");
  assert.equal(connection.multiplexer, "/yamux/1.0.0");
  // Fails if the key that is said is not that of the peer.
  const said = await host.services.identify.identify(connection, limit());
  assert.equal(said.peerId.toString(), scene.peerId);
  assert.equal(said.agentVersion, scene.agent);
  assert.equal(said.protocolVersion, "atoll/1");
  assert.deepEqual(said.protocols, [FRAMES, REQUESTS, "/ipfs/id/1.0.0", "/ipfs/ping/1.0.0"]);
  assert.deepEqual(said.listenAddrs.map(String), [transport]);
  assert.match(String(said.observedAddr), new RegExp(`^/ip4/${scene.host}/tcp/[0-9]+$`));
  return connection;
}

describe("a stranger", () => {
  let host;
  before(async () => { host = await start(await generateKeyPair("Ed25519")); });
  after(() => host.stop());

  test("sees whom it reached", async () => {
    await shows(host);
  });

  test("gets its pings back, each on a stream of its own", async () => {
    for (let i = 0; i < 12; i++) {
      assert.ok(await host.services.ping.ping(address, limit()) >= 0);
    }
  });

  for (const protocol of [FRAMES, REQUESTS, "/ipfs/kad/1.0.0"]) {
    test(`is not served ${protocol.split("/").at(-2)}`, async () => {
      await assert.rejects(host.dialProtocol(address, protocol, limit()), { name: "UnsupportedProtocolError" });
      assert.ok(await host.services.ping.ping(address, limit()) >= 0);
    });
  }

  test("is refused another key than the node's", async () => {
    const other = await generateKeyPair("Ed25519");
    const wrong = multiaddr(`${transport}/p2p/${peerIdFromPrivateKey(other)}`);
    await assert.rejects(host.dial(wrong, limit()));
  });
});

describe("a peer that the node knows", () => {
  let host, frames, requests;
  before(async () => { host = await start(await generateKeyPairFromSeed("Ed25519", Buffer.from(scene.seed, "hex"))); });
  after(() => host.stop());

  test("opens both streams", async () => {
    frames = byteStream(await host.dialProtocol(address, FRAMES, limit()));
    requests = byteStream(await host.dialProtocol(address, REQUESTS, limit()));
  });

  test("sees whom it reached, and pings", async () => {
    const connection = await shows(host);
    assert.equal(host.getConnections().length, 1);
    assert.equal(connection.streams.length, 2);
    for (let i = 0; i < 12; i++) {
      assert.ok(await host.services.ping.ping(address, limit()) >= 0);
    }
  });

  test("exchanges frames", async () => {
    const nonce = Buffer.from("0123456789abcdef", "hex");
    await send(frames, CONTROL, Buffer.concat([Buffer.from([PING]), nonce]));
    const seen = new Set();
    for (;;) {
      const [kind, payload] = await receive(frames);
      seen.add(kind);
      if (kind === CONTROL && payload[0] === PONG) {
        assert.deepEqual(payload.subarray(1), nonce);
        break;
      }
    }
    assert.ok(seen.has(ERAS), "every node says its era at each connection");
  });

  test("has a request refused that the node does not know", async () => {
    const name = Buffer.from("no-such-method");
    const head = Buffer.alloc(5);
    head.writeUInt32BE(7);
    head[4] = name.length;
    const tail = Buffer.alloc(8);
    tail.writeUInt32BE(5000);
    await send(requests, REQUEST, Buffer.concat([head, name, tail]));
    for (;;) {
      const [kind, payload] = await receive(requests);
      if (kind === REQUEST) continue; // the node asks us things, too
      assert.equal(kind, REFUSED);
      assert.equal(payload.readUInt32BE(), 7);
      assert.equal(payload.readUInt16BE(4), UNKNOWN_METHOD);
      break;
    }
  });
});
