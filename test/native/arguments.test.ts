import { beforeAll, describe, expect, it } from "vitest";
import type { NativeSession } from "../../src/engine/native/addon";
import {
  addon,
  Cancellation,
  expectCode,
  libraryDirectory,
  modelPath,
  openBench,
  openEngine,
  type Bench,
} from "./support";

const engine = openEngine();
let bench: Bench;
let session: NativeSession;
const tokens = Int32Array.of(1, 2, 3);
/** Passes for one by `instanceof`. */
const disguised: unknown = Object.create(Cancellation.prototype as object);

beforeAll(async () => {
  bench = await openBench(engine);
  session = await bench.session();
});

type Options = Record<string, unknown>;

const noObject = [undefined, null, 1, "text", [], () => undefined];
const noText = [undefined, null, 1, true, {}, ["a"], Symbol("s")];
const noFlag = [null, 0, 1, "true", {}];
const noFunction = [null, 1, "f", {}];
const noNumber = [null, "1", NaN, Infinity, -Infinity, {}, true, 1n];

/** No whole number from `least` to `most`. */
function noWhole(least: number, most: number): unknown[] {
  return [...noNumber, least - 1, most + 1, least + 0.5, 2 ** 53, -(2 ** 31), 2 ** 64, 1e300];
}

/** Calls a method with options that are right but for the one in question. */
const methods: Record<string, { right: Options; call: (options: unknown) => unknown }> = {
  Engine: {
    right: { libraryDirectory },
    call: (options) => new addon.Engine(options as never),
  },
  planModel: {
    right: { path: modelPath, contextLength: 512, gpu: "off" },
    call: (options) => engine.planModel(options as never),
  },
  loadModel: {
    right: { path: modelPath, contextLength: 512, gpu: "off" },
    call: (options) => engine.loadModel(options as never),
  },
  createSession: {
    right: { contextLength: 256 },
    call: (options) => bench.model.createSession(options as never),
  },
  release: {
    right: { bytes: 1 },
    call: (options) => bench.model.release(options as never),
  },
  prefetch: {
    right: {},
    call: (options) => bench.model.prefetch(options as never),
  },
  prefill: {
    right: { tokens, priority: "warm" },
    call: (options) => session.prefill(options as never),
  },
  generate: {
    right: { tokens, priority: "chat", maxTokens: 1 },
    call: (options) => session.generate(options as never),
  },
  "generate.sampler": {
    right: {},
    call: (sampler) => session.generate({ tokens, priority: "chat", maxTokens: 1, sampler: sampler as never }),
  },
};

const planCases: [option: string, wrong: unknown[]][] = [
  ["path", noText],
  ["contextLength", [undefined, ...noWhole(1, 2 ** 24)]],
  ["vramLimitBytes", noWhole(0, 2 ** 50)],
  ["vramUsedBytes", [null, 1, "GPU", [1], { GPU: -1 }, { GPU: 0.5 }, { GPU: "1" }]],
  ["vramGrantedBytes", [null, 1, "GPU", [1], { GPU: -1 }, { GPU: 0.5 }, { GPU: "1" }]],
  ["gpu", [null, 1, "", "on", "AUTO", {}]],
];
const requestCases: [option: string, wrong: unknown[]][] = [
  ["tokens", [undefined, null, [1, 2], "abc", {}, new Uint32Array(2), new Float64Array(2), new ArrayBuffer(8)]],
  ["tokens", [new Int32Array(0), Int32Array.of(-1), Int32Array.of(49152), Int32Array.of(1, 2 ** 31 - 1)]],
  ["priority", [null, 1, "", "urgent", {}]],
  ["cancellation", [null, 1, {}, new AbortController().signal, disguised]],
];
const cases: Record<string, [option: string, wrong: unknown[]][]> = {
  Engine: [
    ["libraryDirectory", noText],
    ["backends", [null, 1, "gpu", {}]],
    ["cacheDirectory", [null, 1, {}]],
    ["leftOut", [null, "vulkan", {}, [1], [null]]],
    ["packs", [null, "a", {}, [1], [{}], [{ backend: 1 }], [{ backend: "a", libraries: "b" }]]],
    ["onLog", noFunction],
  ],
  planModel: [...planCases, ["forecast", noFlag]],
  loadModel: [...planCases, ["onProgress", noFunction], ["cancellation", [null, 1, {}, true, disguised]]],
  createSession: [
    ["contextLength", [undefined, ...noWhole(1, 2 ** 24)]],
    ["batchSize", noWhole(1, 2 ** 16)],
    ["threads", noWhole(0, 512)],
  ],
  release: [
    ["bytes", noWhole(0, 2 ** 50)],
    ["device", [null, 1, {}]],
  ],
  prefetch: [
    ["cancellation", [null, 1, {}, disguised]],
    ["device", [null, 1, {}]],
  ],
  prefill: requestCases,
  generate: [
    ...requestCases,
    ["maxTokens", [undefined, ...noWhole(1, 2 ** 24)]],
    ["stop", [null, "a", {}, [1], ["a", null], ["a", ""], [""]]],
    ["beginWith", [null, 1, {}, ["a"]]],
    ["draftTokens", [null, [1, 2], "abc", {}, new Uint32Array(2), Int32Array.of(-1), Int32Array.of(49152)]],
    ["sampler", [null, 1, "greedy", [], () => undefined]],
  ],
  "generate.sampler": [
    ["temperature", [...noNumber, -0.1, 10.1, 1e300]],
    ["topK", noWhole(0, 2 ** 31 - 1)],
    ["topP", [...noNumber, 0, -1, 1.01, 1e300]],
    ["minP", [...noNumber, -0.01, 1.01]],
    ["repeatPenalty", [...noNumber, 0, -1, 10.1, 1e-300]],
    ["repeatLastN", noWhole(0, 2 ** 31 - 1)],
    ["seed", noWhole(0, 2 ** 32 - 1)],
    ["grammar", [null, 1, {}, "nonsense", 'start ::= "a"', "root ::= root"]],
    [
      "logitBias",
      [null, 1, "never", {}, [1], [null], [[7, 1]], Array.from({ length: 513 }, () => ({ token: 7, bias: 1 }))],
    ],
    ["logitBias", [undefined, ...noWhole(0, 49151)].map((token) => [{ token, bias: 1 }])],
    ["logitBias", [undefined, ...noNumber, "", "always", 1.1e9, -1e300, 1e300].map((bias) => [{ token: 7, bias }])],
  ],
};

const flat = Object.entries(cases).flatMap(([method, options]) =>
  options.map(([option, wrong]) => ({ method, option, wrong })),
);

describe("wrong arguments are named", () => {
  it.each(Object.keys(methods).filter((name) => !["generate.sampler", "release", "prefetch"].includes(name)))(
    "%s without an options object",
    async (name) => {
      for (const wrong of noObject) {
        await expectCode(() => methods[name]?.call(wrong), "INVALID_ARGUMENT", name, "object");
      }
    },
  );

  it.each(["release", "prefetch"])("%s with something else than an options object", async (name) => {
    for (const wrong of noObject.filter((value) => value !== undefined)) {
      await expectCode(() => methods[name]?.call(wrong), "INVALID_ARGUMENT", name, "object");
    }
  });

  it.each(flat)("$method: $option", async ({ method, option, wrong }) => {
    const { right, call } = methods[method] ?? {};
    for (const value of wrong) {
      await expectCode(() => call?.({ ...right, [option]: value }), "INVALID_ARGUMENT", "Expected");
    }
  });

  it("the message says what was expected and what came", async () => {
    const createSession = (options: Options) => () => bench.model.createSession(options as never);
    await expectCode(createSession({ contextLength: "7" }), "INVALID_ARGUMENT", "createSession.contextLength", '"7"');
    await expectCode(createSession({ contextLength: 0.5 }), "INVALID_ARGUMENT", "from 1 to 16777216", "0.5");
    await expectCode(createSession({ contextLength: 8, threads: [] }), "INVALID_ARGUMENT", "threads", "an array");
    await expectCode(
      () =>
        session.generate({
          tokens,
          priority: "chat",
          maxTokens: 1,
          beginWith: "b",
          sampler: { grammar: 'root ::= "a"' },
        }),
      "INVALID_ARGUMENT",
      "that the grammar allows",
    );
  });

  it("prompt parts and tokens", async () => {
    const { model } = bench;
    for (const wrong of [undefined, null, "text", {}, [null], ["text"], [{}], [{ text: 1 }], [[]]]) {
      await expectCode(() => model.tokenize(wrong as never), "INVALID_ARGUMENT", "tokenize");
    }
    for (const special of noFlag) {
      await expectCode(() => model.tokenize([{ text: "a", special }] as never), "INVALID_ARGUMENT", "special");
      await expectCode(() => model.tokenize([], { addBos: special } as never), "INVALID_ARGUMENT", "addBos");
      await expectCode(() => model.detokenize(tokens, { special } as never), "INVALID_ARGUMENT", "special");
    }
    for (const wrong of [undefined, null, [1], "a", new Uint8Array(1)]) {
      await expectCode(() => model.detokenize(wrong as never), "INVALID_ARGUMENT", "Int32Array");
    }
    for (const token of [-1, 49152, 2 ** 31 - 1, -(2 ** 31)]) {
      await expectCode(() => model.detokenize(Int32Array.of(token)), "INVALID_ARGUMENT", String(token));
    }
  });
});

describe("what is not of this addon", () => {
  it("is refused, also behind the prototype of another class", async () => {
    const other = await bench.session();
    Object.setPrototypeOf(other, Cancellation.prototype as object);
    const cancellation = other as unknown as InstanceType<typeof Cancellation>;
    await expectCode(() => session.prefill({ tokens, priority: "warm", cancellation }), "INVALID_ARGUMENT");
    expect(() => {
      cancellation.cancel();
    }).toThrow("Illegal invocation");
    for (const method of [engine.loadModel.bind({} as never), session.generate.bind(engine as never)]) {
      expect(() => {
        void method({} as never);
      }).toThrow("Illegal invocation");
    }
  });

  it("cannot be made with new", () => {
    for (const { constructor } of [bench.model, session]) {
      expect(() => Reflect.construct(constructor, []) as unknown).toThrow("comes from");
    }
    expect(() => {
      (addon.Cancellation as unknown as () => void)();
    }).toThrow();
  });

  it("passes its own exception on", async () => {
    const thrown = new RangeError("from the getter");
    const trap = {
      get contextLength(): number {
        throw thrown;
      },
    };
    await expect(bench.model.createSession(trap)).rejects.toBe(thrown);
  });
});

describe("the process", () => {
  it("works after all of that", async () => {
    const result = await session.generate({
      tokens: await bench.tokens("The capital of France is"),
      priority: "chat",
      maxTokens: 4,
    });
    expect(result.text).toContain("Paris");
  });
});
