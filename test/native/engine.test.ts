import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import pins from "../../native/engine_libraries.json";
import {
  addon,
  Cancellation,
  expectCode,
  libraryDirectory,
  modelFiles,
  modelHeader,
  modelPath,
  modelSize,
  openBench,
  openEngine,
  withArchitecture,
  withNumber,
} from "./support";

const engine = openEngine();
const files = modelFiles();
const plan = { contextLength: 1024, gpu: "off" } as const;

describe("engine", () => {
  it("lies beside its libraries and tells their version", () => {
    expect(existsSync(join(libraryDirectory, "nmos.node"))).toBe(true);
    // The pinned one; builds of the library call themselves "0.4.0-dev".
    expect(`v${engine.libraryVersion}`).toContain(pins.llamaCpp.version);
  });

  it("lists the processor first, with the machine's memory", () => {
    const [cpu] = engine.devices();
    expect(cpu).toMatchObject({ name: "CPU", kind: "cpu" });
    expect(cpu?.description).not.toBe("");
    const { totalBytes, availableBytes, processBytes } = engine.memory();
    expect(cpu?.memoryTotal).toBe(totalBytes);
    expect(availableBytes).toBeGreaterThan(0);
    expect(availableBytes).toBeLessThanOrEqual(totalBytes);
    expect(processBytes).toBeGreaterThan(10_000_000);
    expect(processBytes).toBeLessThan(totalBytes);
  });

  it("hands log lines to the caller, in order and on the main thread", async () => {
    const lines: { level: string; text: string }[] = [];
    const logging = new addon.Engine({
      libraryDirectory,
      backends: "cpu",
      onLog: (level, text) => lines.push({ level, text }),
    });
    await logging.loadModel({ ...plan, path: modelPath });
    await logging.close();
    const texts = lines.map(({ text }) => text);
    expect(texts.some((text) => text.includes("general.architecture"))).toBe(true);
    expect(texts.every((text) => text !== "" && !text.includes("\n"))).toBe(true);
    expect(new Set(lines.map(({ level }) => level)).size).toBeGreaterThan(1);
  });

  it("goes on after a callback has thrown", async () => {
    const thrown: unknown[] = [];
    const listeners = process.listeners("uncaughtException");
    process.removeAllListeners("uncaughtException");
    process.on("uncaughtException", (error) => thrown.push(error));
    try {
      const model = await engine.loadModel({
        ...plan,
        path: modelPath,
        onProgress: () => {
          throw new Error("from the callback");
        },
      });
      expect(model?.info.layers).toBe(30);
      await model?.close();
    } finally {
      process.removeAllListeners("uncaughtException");
      for (const listener of listeners) process.on("uncaughtException", listener);
    }
    expect(thrown.length).toBeGreaterThan(0);
    expect(String(thrown[0])).toContain("from the callback");
  });
});

describe("backends of packs", () => {
  it("that cannot be loaded are left out with a reason, and the engine works on without them", async () => {
    const name = (file: string) => join(files.directory, file);
    const packs = [
      { backend: files.write("libggml-broken.so", "this is no library"), libraries: [] },
      { backend: name("libggml-absent.so"), libraries: [] },
      { backend: join(libraryDirectory, "nmos.node"), libraries: [name("libcudart.so.13")] },
    ];
    const lines: string[] = [];
    const falling = new addon.Engine({ libraryDirectory, packs, onLog: (_, text) => lines.push(text) });
    const tried = falling.backends().slice(0, packs.length);
    expect(tried.map(({ usable }) => usable)).toEqual([false, false, false]);
    expect(tried[0]?.reason).not.toBe("");
    expect(tried[1]?.reason).toContain("libggml-absent.so");
    expect(tried[2]?.reason).toContain("libcudart.so.13");
    expect(falling.devices()[0]?.kind).toBe("cpu");
    const { model, session, tokens } = await openBench(falling);
    const result = await (
      await session()
    ).generate({ tokens: await tokens("The capital of France is"), maxTokens: 4, priority: "chat" });
    expect(result.text).toContain("Paris");
    await model.close();
    await falling.close();
    expect(lines.filter((line) => line.startsWith("left out: ")).length).toBeGreaterThanOrEqual(packs.length);
  });

  it("are left alone when only the processor is asked for", async () => {
    const backend = files.write("libggml-unasked.so", "");
    const before = engine.backends().length;
    const plain = new addon.Engine({ libraryDirectory, backends: "cpu", packs: [{ backend, libraries: [] }] });
    expect(plain.backends()).toHaveLength(before);
    await plain.close();
  });
});

describe("a backend of the folder", () => {
  it("is not touched when it is named among those to leave out", async () => {
    const file = process.platform === "win32" ? "ggml-unwanted.dll" : "libggml-unwanted.so";
    const folder = dirname(files.write(file, "this is no library"));
    const tried = async (leftOut: string[]) => {
      const one = new addon.Engine({ libraryDirectory: folder, leftOut });
      const states = one.backends().filter(({ name }) => name === "unwanted");
      await one.close();
      return states.length;
    };
    expect(await tried(["vulkan", "unwanted"])).toBe(0);
    expect(await tried(["vulkan"])).toBe(1);
  });
});

describe("plan", () => {
  it("says where a model goes, without loading it", async () => {
    const placement = await engine.planModel({ ...plan, path: modelPath });
    expect(placement).toMatchObject({
      layers: 30,
      deviceLayers: 0,
      deviceBytes: 0,
      contextLength: 1024,
    });
    expect(placement.kvBytes).toBe(1024 * 30 * 3 * 64 * 2 * 2);
    expect(placement.hostBytes).toBeGreaterThan(modelSize * 0.9);
    expect(placement).toMatchObject({ outputOnDevice: false, cards: [], predictedPasses: [] });
    expect(placement.layerMap).toEqual(
      Array.from({ length: 30 }, () => ({
        attentionOnDevice: false,
        card: null,
        network: { device: 0, uploaded: 0, host: 1 },
      })),
    );
    expect(placement.explanation.length).toBeGreaterThan(0);
    expect(placement.explanation.join(" ")).toContain("1024 tokens");
    expect(placement.shortfall).toBeNull();
  });

  it("chooses the type of the KV cache when it may, and has what was asked for otherwise", async () => {
    const placed = (kvCacheType: "auto" | "f16" | "q8_0") =>
      engine.planModel({ ...plan, path: modelPath, kvCacheType });
    const chosen = await placed("auto");
    expect(chosen.kvCacheType).toBe("f16");
    expect(chosen.explanation.join(" ")).toContain("The KV cache is in F16, because no card is used");
    expect((await placed("f16")).explanation.join(" ")).not.toContain("because");
    expect(await placed("q8_0")).toMatchObject({ kvCacheType: "q8_0", kvBytes: (chosen.kvBytes * 17) / 32 });
  });

  it("predicts passes when asked, also where the processor computes all, and places nothing otherwise", async () => {
    const placement = await engine.planModel({ ...plan, path: modelPath, forecast: true });
    const { predictedPasses: passes, ...rest } = placement;
    expect(passes.map(({ tokens }) => tokens)).toEqual([1, 2, 4, 8, 16, 32, 64, 128, 256, 512]);
    expect(passes[0]?.milliseconds).toBeGreaterThan(0);
    // A processor takes time in proportion to a wide pass.
    expect(passes.at(-1)?.milliseconds).toBeGreaterThan(2 * (passes[0]?.milliseconds ?? 0));
    const { predictedPasses, ...plain } = await engine.planModel({ ...plan, path: modelPath });
    expect(predictedPasses).toEqual([]);
    expect(rest).toEqual(plain);
  });

  it("is the placement of the loaded model", async () => {
    const { model } = await openBench(engine);
    expect(model.placement).toEqual(await engine.planModel({ ...plan, path: modelPath }));
    await model.close();
  });
});

describe("load", () => {
  it("tells its progress, all of it before it ends", async () => {
    const fractions: number[] = [];
    let ended = false;
    const model = await engine.loadModel({
      ...plan,
      path: modelPath,
      onProgress: (fraction) => {
        expect(ended).toBe(false);
        fractions.push(fraction);
      },
    });
    ended = true;
    expect(model).not.toBeNull();
    expect(fractions.length).toBeGreaterThan(2);
    expect(fractions).toEqual([...fractions].sort((a, b) => a - b));
    expect(fractions.at(-1)).toBe(1);
    await model?.close();
    await new Promise(setImmediate);
  });

  it("resolves with null when cancelled, before or on the way", async () => {
    const early = new Cancellation();
    early.cancel();
    expect(await engine.loadModel({ ...plan, path: modelPath, cancellation: early })).toBeNull();

    // A log line of the load cancels it: that is as early as JavaScript hears of it.
    const late = new Cancellation();
    let queued = 0;
    const blocked = engine.loadModel({ ...plan, path: modelPath, onProgress: () => queued++ });
    const behind = engine.loadModel({ ...plan, path: modelPath, cancellation: late });
    late.cancel();
    expect(await behind).toBeNull();
    const model = await blocked;
    expect(model).not.toBeNull();
    expect(queued).toBeGreaterThan(0);
    await model?.close();
  });
});

describe("models that cannot be used", () => {
  const header = modelHeader();
  const cases: [name: string, path: () => string, code: Parameters<typeof expectCode>[1], ...parts: string[]][] = [
    ["no file", () => join(files.directory, "missing.gguf"), "MODEL_NOT_FOUND", "missing.gguf"],
    ["a folder", () => files.directory, "MODEL_NOT_FOUND", files.directory],
    ["an empty file", () => files.write("empty.gguf", ""), "MODEL_INVALID", "empty.gguf"],
    ["an error page", () => files.write("page.gguf", "<!doctype html>"), "MODEL_INVALID", 'does not begin with "GGUF"'],
    ["an old version", () => files.write("old.gguf", patched(4, 1)), "MODEL_INVALID", "version"],
    ["half a header", () => files.write("half.gguf", header.subarray(0, 100_000)), "MODEL_INVALID", "cut short"],
    ["half a file", () => files.sparse("cut.gguf", header, modelSize / 2), "MODEL_TRUNCATED", `${modelSize}`],
    ["one byte less", () => files.sparse("less.gguf", header, modelSize - 1), "MODEL_TRUNCATED", `${modelSize - 1}`],
    [
      "an unknown architecture",
      () => files.sparse("other.gguf", withArchitecture(header, "llama", "zlamb"), modelSize),
      "MODEL_UNSUPPORTED",
      "zlamb",
      "Choose a model",
    ],
    [
      "no layers",
      () => files.sparse("flat.gguf", withNumber(header, "llama.block_count", 0), modelSize),
      "MODEL_UNSUPPORTED",
    ],
    [
      "more layers than tensors",
      () => files.sparse("layers.gguf", withNumber(header, "llama.block_count", 31), modelSize),
      "MODEL_UNSUPPORTED",
      "blk.30",
    ],
  ];

  function patched(offset: number, value: number): Buffer {
    const copy = Buffer.from(header);
    copy.writeUInt32LE(value, offset);
    return copy;
  }

  it.each(cases)("%s", async (_, path, code, ...parts) => {
    await expectCode(engine.loadModel({ ...plan, path: path() }), code, ...parts);
  });

  it("a context longer than it was trained for", async () => {
    for (const call of [engine.planModel.bind(engine), engine.loadModel.bind(engine)]) {
      await expectCode(call({ ...plan, path: modelPath, contextLength: 8193 }), "CONTEXT_TOO_LONG", "8192", "8193");
    }
  });

  it("a context that does not fit into memory", async () => {
    const path = files.sparse("wide.gguf", withNumber(header, "llama.context_length", 2 ** 24), modelSize);
    await expectCode(engine.loadModel({ ...plan, path, contextLength: 2 ** 24 }), "OUT_OF_MEMORY", "shorter context");
  });

  it("do not hinder the next one", async () => {
    const { session, tokens, model } = await openBench(engine);
    const result = await (
      await session()
    ).generate({ tokens: await tokens("The capital of France is"), maxTokens: 4, priority: "chat" });
    expect(result.text).toContain("Paris");
    await model.close();
  });
});

describe("close", () => {
  it("ends everything with CLOSED, and may be called again", async () => {
    const bench = await openBench(new addon.Engine({ libraryDirectory, backends: "cpu" }));
    const { engine: closing, model } = bench;
    const session = await bench.session();
    const tokens = await bench.tokens("Hello");
    await Promise.all([closing.close(), closing.close()]);
    await closing.close();
    await expectCode(() => closing.devices(), "CLOSED");
    await expectCode(closing.planModel({ ...plan, path: modelPath }), "CLOSED");
    await expectCode(closing.loadModel({ ...plan, path: modelPath }), "CLOSED");
    await expectCode(model.tokenize([]), "CLOSED");
    await expectCode(model.detokenize(tokens), "CLOSED");
    await expectCode(model.createSession({ contextLength: 16 }), "CLOSED");
    await expectCode(session.prefill({ tokens, priority: "warm" }), "CLOSED");
    await expectCode(session.generate({ tokens, priority: "chat", maxTokens: 1 }), "CLOSED");
    // What was read before stays readable.
    expect(model.info.layers).toBe(30);
    expect(session.cachedTokens()).toEqual(new Int32Array());
  });

  it("lets what is under way end", async () => {
    const bench = await openBench(new addon.Engine({ libraryDirectory, backends: "cpu" }));
    const session = await bench.session();
    const tokens = await bench.tokens("Hello");
    const generating = session.generate({
      tokens,
      priority: "chat",
      maxTokens: 100_000,
      sampler: { grammar: 'root ::= " a"*' },
    });
    const loading = bench.engine.loadModel({ ...plan, path: modelPath });
    const tokenizing = bench.model.tokenize([{ text: "a b ".repeat(100_000), special: false }]);
    await bench.engine.close();
    expect((await generating).finish).toBe("cancelled");
    expect(await loading).toBeNull();
    expect((await tokenizing).length).toBeGreaterThan(100_000);
  });
});
