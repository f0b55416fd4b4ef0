// KurrentDB's own client for Node.js, as it is published: appends, reads, follows and deletes streams of a name that it is
// given, and prints what came of each step as JSON.
const kurrent = require("@kurrent/kurrentdb-client");
const { KurrentDBClient, jsonEvent, binaryEvent, ANY, NO_STREAM, STREAM_EXISTS, START, END, FORWARDS, BACKWARDS } = kurrent;

const [address, stranger, name] = process.argv.slice(2);
const client = KurrentDBClient.connectionString(address);
const placed = (n, id) => jsonEvent({ id, type: "OrderPlaced", data: { n }, metadata: { from: "node" } });

/** What went wrong: its kind, and whatever of the stream it tells. */
const fault = async (work) => {
  try {
    await work();
    return null;
  } catch (error) {
    const { type, streamName, expectedState, actualState } = error;
    const text = (value) => (value === undefined ? undefined : String(value));
    return { type, streamName, expected: text(expectedState), actual: text(actualState), message: error.message };
  }
};

const all = async (iterable) => {
  const found = [];
  for await (const one of iterable) found.push(one);
  return found;
};

const numbers = (found) => found.map(({ event }) => event.data.n);

/** The next events of a subscription. */
const next = (subscription, count) =>
  new Promise((resolve, reject) => {
    const found = [];
    const late = setTimeout(() => reject(new Error(`waited for ${count}, found ${found.length}`)), 20_000);
    const take = (resolved) => {
      if (!resolved.event) return;
      found.push(resolved);
      if (found.length === count) {
        clearTimeout(late);
        subscription.off("data", take);
        resolve(found);
      }
    };
    subscription.on("data", take).on("error", reject);
  });

const steps = {
  async append() {
    const id = require("crypto").randomUUID();
    const first = await client.appendToStream(name, [placed(0, id), placed(1)], { streamState: NO_STREAM });
    const again = await client.appendToStream(name, placed(0, id), { streamState: ANY });
    const binary = binaryEvent({ type: "OrderPacked", data: Uint8Array.from([0, 255]) });
    const second = await client.appendToStream(name, binary, { streamState: 1n });
    return {
      revisions: [first, again, second].map((done) => String(done.nextExpectedRevision)),
      success: first.success && again.success && second.success,
      grows: second.position.commit > first.position.commit,
    };
  },
  async wrong() {
    const append = (stream, streamState) => fault(() => client.appendToStream(stream, placed(9), { streamState }));
    return [
      await append(name, NO_STREAM), await append(name, 0n), await append(`${name}-missing`, STREAM_EXISTS),
      await append(`${name}-missing`, 5n),
    ];
  },
  async read() {
    const [first, , third] = await all(client.readStream(name, { direction: FORWARDS, fromRevision: START }));
    const last = await all(client.readStream(name, { direction: BACKWARDS, fromRevision: END, maxCount: 1 }));
    const later = await all(client.readStream(name, { fromRevision: 1n, maxCount: 1 }));
    const missing = await fault(() => all(client.readStream(`${name}-missing`)));
    return {
      first: { type: first.event.type, data: first.event.data, metadata: first.event.metadata, isJson: first.event.isJson },
      third: { data: [...third.event.data], isJson: third.event.isJson },
      last: last[0].event.type, later: numbers(later), missing: missing.type,
    };
  },
  async all() {
    const found = (await all(client.readAll({ direction: BACKWARDS, fromPosition: END, maxCount: 50 })))
      .filter(({ event }) => event.streamId === name);
    const position = found[found.length - 1].event.position;
    const on = (await all(client.readAll({ fromPosition: position }))).filter(({ event }) => event.streamId === name);
    return { backwards: found.map(({ event }) => String(event.revision)), forwards: on.map(({ event }) => String(event.revision)) };
  },
  async large() {
    const many = Array.from({ length: 20 }, (_, n) => jsonEvent({ type: "Large", data: { n, text: "x".repeat(10_000) } }));
    const done = await client.appendToStream(`${name}-large`, many, { streamState: NO_STREAM, batchAppendSize: 25_000 });
    const event = jsonEvent({ type: "Large", data: { text: "x".repeat(70_000) } });
    const refused = await fault(() => client.appendToStream(`${name}-large`, event));
    const parts = Array.from({ length: 30 }, () => jsonEvent({ type: "Large", data: { text: "x".repeat(10_000) } }));
    const together = await fault(() => client.appendToStream(`${name}-large`, parts));
    return { revision: String(done.nextExpectedRevision), refused: refused !== null, together: together.type };
  },
  async follow() {
    const subscription = client.subscribeToStream(name, { fromRevision: 0n });
    const history = await next(subscription, 2);
    const live = next(subscription, 2);
    await client.appendToStream(name, [placed(3), placed(4)], { streamState: 2n });
    const found = [...history, ...(await live)].map(({ event }) => String(event.revision));
    await subscription.unsubscribe();
    return found;
  },
  async filtered() {
    const positions = [];
    const filter = kurrent.streamNameFilter({
      prefixes: [`${name}-filtered`], checkpointInterval: 1, maxSearchWindow: 2,
      checkpointReached: (_, position) => { positions.push(position.commit); },
    });
    const subscription = client.subscribeToAll({ fromPosition: END, filter });
    await new Promise((resolve) => subscription.once("confirmation", resolve));
    const found = next(subscription, 3);
    for (let n = 0; n < 3; n += 1) {
      await client.appendToStream(`${name}-noise`, [placed(n), placed(n), placed(n)]);
      await client.appendToStream(`${name}-filtered`, placed(n));
    }
    const told = await found;
    await subscription.unsubscribe();
    return { numbers: numbers(told), checkpoints: positions.length > 0 };
  },
  async metadata() {
    await client.setStreamMetadata(name, { maxCount: 2, maxAge: 3600, color: "blue" });
    const { metadata } = await client.getStreamMetadata(name);
    const shown = await all(client.readStream(name));
    return { metadata, shown: shown.map(({ event }) => String(event.revision)) };
  },
  async deletion() {
    const wrong = await fault(() => client.deleteStream(name, { expectedRevision: 1n }));
    const { position } = await client.deleteStream(name, { expectedRevision: 4n });
    const gone = await fault(() => all(client.readStream(name)));
    const back = await client.appendToStream(name, placed(5), { streamState: NO_STREAM });
    const shown = await all(client.readStream(name));
    return {
      wrong, position: position.commit > 0n, gone: gone.type, back: String(back.nextExpectedRevision),
      shown: shown.map(({ event }) => String(event.revision)),
    };
  },
  async tombstone() {
    await client.tombstoneStream(name, { expectedRevision: 5n });
    return [
      await fault(() => all(client.readStream(name))), await fault(() => client.appendToStream(name, placed(6))),
      await fault(() => client.deleteStream(name)),
    ].map((refused) => refused.type);
  },
  async forbidden() {
    const known = KurrentDBClient.connectionString(stranger);
    const refused = [
      await fault(() => client.appendToStream("experiments.run-x", placed(0))),
      await fault(() => client.deleteStream("experiments.run-x")),
      await fault(() => known.appendToStream(name, placed(0))),
      await fault(() => all(known.readStream(name))),
      await fault(() => all(known.readAll())),
    ].map((one) => one && one.type);
    await known.dispose();
    return refused;
  },
};

(async () => {
  const told = {};
  for (const [step, run] of Object.entries(steps)) {
    try {
      told[step] = await run();
    } catch (error) {
      told[step] = { failed: `${error.name}: ${error.message}` };
    }
  }
  const plain = (_, value) => (typeof value === "bigint" ? String(value) : value);
  console.log(JSON.stringify(told, plain));
  await client.dispose();
  process.exit(0);
})();
