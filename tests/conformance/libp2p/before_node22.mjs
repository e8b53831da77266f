// js-libp2p 3 is written for node 22. All that it takes of it beyond node 20 is this.
Promise.withResolvers ??= function withResolvers() {
  let resolve, reject;
  const promise = new this((yes, no) => { resolve = yes; reject = no; });
  return { promise, resolve, reject };
};
