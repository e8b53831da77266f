// One WebSocket to the node: calls, subscriptions that survive a reconnect, and how the connection is.

const FIRST_WAIT = 500;
const LONGEST_WAIT = 10_000;
const PATIENCE = 35_000;

/** An answer that is an error. */
export class RpcError extends Error {
  /** @param {{code: number, message: string, data?: any}} error */
  constructor(error) {
    super(error.message);
    this.code = error.code;
    this.data = error.data;
  }
}

/** The node cannot be asked now. */
export class Away extends Error {}

/** @typedef {{kind: string, options: any[], handler: (result: any) => void}} Subscription */

export class Connection {
  /** @param {string} url of the node's endpoint, http: or https:, ending with / */
  constructor(url) {
    this.http = url;
    this.ws = url.replace(/^http/, "ws");
    /** @type {"connecting" | "open" | "away"} */
    this.state = "connecting";
    this.retryAt = 0;
    /** Called when `state` or `retryAt` has changed. */
    this.changed = () => {};
    /** Called when there is a connection, after its subscriptions were asked for. */
    this.opened = () => {};
    /** @type {WebSocket | null} */
    this.socket = null;
    this.wait = FIRST_WAIT;
    this.next = 1;
    /** @type {Map<number, {resolve: (v: any) => void, reject: (e: Error) => void, timer: number}>} */
    this.calls = new Map();
    /** @type {Subscription[]} */
    this.subscriptions = [];
    /** @type {Map<string, Subscription>} */
    this.live = new Map();
    this.timer = 0;
    for (const event of ["online", "focus"]) {
      window.addEventListener(event, () => this.state === "away" && this.connect());
    }
  }

  connect() {
    clearTimeout(this.timer);
    if (this.socket) return;
    this.#become("connecting");
    const socket = new WebSocket(this.ws);
    this.socket = socket;
    socket.onopen = () => {
      this.wait = FIRST_WAIT;
      this.#become("open");
      // In this order: what is asked for then begins where what is pushed does, or after it.
      for (const subscription of this.subscriptions) this.#subscribe(subscription);
      this.opened();
    };
    socket.onmessage = ({ data }) => this.#take(JSON.parse(data));
    socket.onclose = () => this.#closed();
  }

  /**
   * The result of one call. Rejects with `RpcError`, or `Away` where there is no connection or no answer.
   * @param {string} method
   * @param {any[]} params
   * @returns {Promise<any>}
   */
  call(method, params = []) {
    return new Promise((resolve, reject) => {
      if (this.state !== "open") {
        reject(new Away("The node is not connected"));
        return;
      }
      const id = this.next;
      this.next += 1;
      const timer = window.setTimeout(() => {
        this.calls.delete(id);
        reject(new Away(`The node did not answer ${method} within ${PATIENCE / 1000} s`));
      }, PATIENCE);
      this.calls.set(id, { resolve, reject, timer });
      this.socket?.send(JSON.stringify({ jsonrpc: "2.0", id, method, params }));
    });
  }

  /**
   * The results of several calls to one shard's own chain, null for those that fail.
   * @param {number} shard
   * @param {[string, any[]][]} calls
   * @returns {Promise<any[]>}
   */
  async ofShard(shard, calls) {
    let answers;
    try {
      const response = await fetch(`${this.http}shard/${shard}`, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify(calls.map(([method, params], id) => ({ jsonrpc: "2.0", id, method, params }))),
        signal: AbortSignal.timeout(PATIENCE),
      });
      answers = await response.json();
    } catch {
      throw new Away("The node did not answer");
    }
    if (!Array.isArray(answers)) throw new RpcError(answers.error);
    const byId = new Map(answers.map((answer) => [answer.id, answer]));
    const found = calls.map((_, id) => byId.get(id) ?? { error: { code: -32603, message: "no answer" } });
    if (found.every((answer) => answer.error)) throw new RpcError(found[0].error);
    return found.map((answer) => (answer.error ? null : answer.result));
  }

  /**
   * Hear of something from now on, on this connection and on those after it.
   * @param {string} kind
   * @param {(result: any) => void} handler
   * @param {...any} options
   */
  subscribe(kind, handler, ...options) {
    const subscription = { kind, options, handler };
    this.subscriptions.push(subscription);
    if (this.state === "open") this.#subscribe(subscription);
  }

  /** @param {Subscription} subscription */
  async #subscribe(subscription) {
    try {
      const id = await this.call("eth_subscribe", [subscription.kind, ...subscription.options]);
      this.live.set(id, subscription);
    } catch {
      // The connection has ended, or the node is busy: a new one makes it again.
      this.socket?.close();
    }
  }

  /** @param {any} message */
  #take(message) {
    if (message.method === "eth_subscription") {
      this.live.get(message.params.subscription)?.handler(message.params.result);
      return;
    }
    const call = this.calls.get(message.id);
    if (!call) return;
    this.calls.delete(message.id);
    clearTimeout(call.timer);
    if (message.error) call.reject(new RpcError(message.error));
    else call.resolve(message.result);
  }

  #closed() {
    this.socket = null;
    this.live.clear();
    for (const call of this.calls.values()) {
      clearTimeout(call.timer);
      call.reject(new Away("The connection to the node has ended"));
    }
    this.calls.clear();
    const wait = this.wait * (0.75 + Math.random() / 2);
    this.wait = Math.min(2 * this.wait, LONGEST_WAIT);
    this.retryAt = Date.now() + wait;
    this.timer = window.setTimeout(() => this.connect(), wait);
    this.#become("away");
  }

  /** @param {"connecting" | "open" | "away"} state */
  #become(state) {
    // One that tries again in vain has not come nearer.
    if (state === "connecting" && this.state === "away") return;
    this.state = state;
    this.changed();
  }
}
