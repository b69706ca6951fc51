// node --expose-gc scenes.mjs SCENE ADDON MODEL: what happens to the addon when nobody closes what it made. Plain
// JavaScript, so that no loader stands between Node and the addon, in worker threads too.
import { createRequire } from "node:module";
import { dirname } from "node:path";
import { setImmediate as turn } from "node:timers/promises";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";

const [, , ...args] = process.argv;
const [scene, addonPath, modelPath] = isMainThread ? args : workerData;
const addon = createRequire(import.meta.url)(addonPath);

const newEngine = (options) => new addon.Engine({ libraryDirectory: dirname(addonPath), backends: "cpu", ...options });
const load = (engine, options) => engine.loadModel({ path: modelPath, contextLength: 512, gpu: "off", ...options });

async function newSession(engine) {
  const model = await load(engine);
  return model.createSession({ contextLength: 256, threads: 1 });
}

/** Begins an answer that does not end by itself; resolves when its first text has come. */
async function begin(session, onText = () => undefined) {
  let answer;
  await new Promise((resolve) => {
    const options = { tokens: Int32Array.of(1), priority: "chat", maxTokens: 100000 };
    answer = session.generate({ ...options, sampler: { grammar: 'root ::= " a"*' } }, (text) => {
      resolve();
      onText(text);
    });
  });
  return { answer };
}

/** Lets finalizers run, which Node puts into later turns of its loop. */
async function collect() {
  for (let i = 0; i < 10; ++i) {
    globalThis.gc();
    await turn();
  }
}

function endHere() {
  console.log("as expected");
  process.exit(0);
}

const forever = new Promise(() => undefined);

function expectTrue(condition, what) {
  if (!condition) throw new Error(`expected ${what}`);
}

async function runWorker(onMessage) {
  const worker = new Worker(new URL(import.meta.url), { workerData: [scene, addonPath, modelPath] });
  return new Promise((resolve, reject) => {
    worker.on("message", (message) => onMessage(worker, message));
    worker.on("error", reject);
    worker.on("exit", resolve);
  });
}

const scenes = {
  async "engines that nobody closes"() {
    const engines = [newEngine({ onLog: () => undefined }), newEngine({ onLog: () => undefined }), newEngine()];
    globalThis.kept = [...engines, await newSession(engines[0]), await newSession(engines[1])];
  },

  async "objects that nobody holds"() {
    for (let i = 0; i < 3; ++i) {
      await begin(await newSession(newEngine({ onLog: () => undefined })));
      newEngine();
      new addon.Cancellation();
      await collect();
    }
    // Those answers are still under way: what they need is kept for them, so that they have to be ended by the exit.
    endHere();
  },

  // Whoever waits for a result only must get it, though the objects that make it cannot be reached any more.
  async "a result that nobody waits for"() {
    const answer = (async () => {
      const model = await load(newEngine());
      const tokens = await model.tokenize([{ text: "The capital of France is", special: false }]);
      const session = await model.createSession({ contextLength: 256, threads: 1 });
      return { pending: session.generate({ tokens, priority: "chat", maxTokens: 24 }) };
    })();
    const { pending } = await answer;
    let result;
    void pending.then((value) => (result = value));
    while (!result) await collect();
    expectTrue(result.finish === "length" && result.text.includes("Paris"), `an answer, got ${JSON.stringify(result)}`);
  },

  async "an exit in the middle of an answer"() {
    const engine = newEngine({ onLog: () => undefined });
    const sessions = [await newSession(engine), await newSession(newEngine())];
    for (const session of sessions) await begin(session);
    endHere();
  },

  async "an exit in the middle of a load"() {
    const engine = newEngine();
    await newSession(engine);
    void load(engine, { onProgress: endHere });
    await forever;
  },

  async "an exit from a callback"() {
    let pieces = 0;
    await begin(await newSession(newEngine()), () => {
      if (++pieces === 3) endHere();
    });
    await forever;
  },

  async "an exception in a callback"() {
    await begin(await newSession(newEngine()), () => {
      throw new Error("from the callback");
    });
    await forever;
  },

  async "a worker that ends in the middle of an answer"() {
    if (!isMainThread) {
      globalThis.kept = await newSession(newEngine({ onLog: () => undefined }));
      await begin(globalThis.kept, () => parentPort.postMessage("text"));
      return;
    }
    // The addon of this thread lives on.
    const session = await newSession(newEngine());
    for (let i = 0; i < 3; ++i) {
      let pieces = 0;
      await runWorker((worker) => {
        if (++pieces === i + 1) void worker.terminate();
      });
    }
    const result = await session.generate({ tokens: Int32Array.of(1, 2), priority: "chat", maxTokens: 2 });
    expectTrue(result.tokens.length === 2, "an answer");
  },

  async "a worker that is left to itself"() {
    if (!isMainThread) {
      const engines = [newEngine({ onLog: () => undefined }), newEngine({ onLog: () => undefined })];
      globalThis.kept = [...engines, await newSession(engines[0])];
      return;
    }
    const code = await runWorker(() => undefined);
    expectTrue(code === 0, `the worker to end with 0, got ${code}`);
  },
};

scenes[scene]().then(
  () => {
    if (isMainThread) console.log("as expected");
  },
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
