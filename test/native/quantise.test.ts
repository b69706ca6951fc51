import { closeSync, copyFileSync, mkdirSync, openSync, readdirSync, statSync, writeSync } from "node:fs";
import { join } from "node:path";
import { build } from "esbuild";
import { beforeAll, describe, expect, it } from "vitest";
import { checkText, judgeResult } from "../../src/engine/quantise/check_result";
import { Quantiser } from "../../src/engine/quantise/quantiser";
import { workerRunner } from "../../src/engine/quantise/run_worker";
import type { QuantiseProgress, QuantiseResult, WeightType } from "../../src/shared/quantise";
import {
  expectCode,
  modelFiles,
  modelHeader,
  modelPath,
  modelSize,
  openEngine,
  root,
  withArchitecture,
  withNumber,
} from "./support";

const engine = openEngine();
const files = modelFiles();
const models = join(files.directory, "Modelle ü 世界");
const f16 = join(files.directory, "SmolLM2-F16.gguf");
/** One, because threads that wait for each other spin, and other programs may have the other cores. */
const threads = 1;

let quantiser: Quantiser;

beforeAll(async () => {
  mkdirSync(models);
  const script = join(files.directory, "quantise_worker.cjs");
  const entryPoints = [join(root, "src/engine/quantise/worker_main.ts")];
  await build({ entryPoints, outfile: script, bundle: true, platform: "node", format: "cjs", logLevel: "error" });
  const log = () => undefined;
  quantiser = new Quantiser({
    modelsDirectory: () => models,
    catalogueFiles: [],
    runWorker: workerRunner({ script, extensionRoot: root, log }),
    log,
    threads: () => 0,
    unload: () => Promise.resolve(),
  });
  // The test model is of low precision; a real source is not.
  await engine.quantise({ source: modelPath, target: f16, type: "F16", fromLowPrecision: true, threads });
});

const ignore: (progress: QuantiseProgress) => void = () => undefined;

async function quantise(
  type: WeightType,
  { path = f16, signal = new AbortController().signal, onProgress = ignore } = {},
): Promise<QuantiseResult> {
  return quantiser.quantise({ path, type, lossAccepted: false, replace: false }, { signal, onProgress });
}

/** The F16 model with a number of 16 bits all over a piece in its middle, where weights of layers are. */
function spoiled(name: string, pattern: number): string {
  const path = join(files.directory, name);
  copyFileSync(f16, path);
  const file = openSync(path, "r+");
  try {
    const size = statSync(path).size;
    writeSync(file, new Uint16Array(4_000_000).fill(pattern), 0, undefined, Math.floor(size / 4) * 2);
  } finally {
    closeSync(file);
  }
  return path;
}

describe("a source", () => {
  it("says what its weights are", async () => {
    expect(await engine.summariseWeights({ path: modelPath })).toMatchObject({
      type: "q4_1",
      lowPrecision: true,
      fileBytes: modelSize,
    });
    const { typeShare, ...summary } = await engine.summariseWeights({ path: f16 });
    expect(summary).toEqual({ type: "f16", lowPrecision: false, fileBytes: statSync(f16).size });
    expect(typeShare).toBeGreaterThan(0.99);
  });

  it("of low precision is not quantised again by accident", async () => {
    const target = join(files.directory, "again.gguf");
    await expectCode(
      engine.quantise({ source: modelPath, target, type: "Q8_0", threads }),
      "MODEL_UNSUPPORTED",
      "q4_1",
    );
    expect(readdirSync(files.directory)).not.toContain("again.gguf");
    await expectCode(quantise("Q4_0", { path: modelPath }), "INVALID_ARGUMENT", "re-quantising loses quality");
    await expectCode(quantise("Q8_0", { path: modelPath }), "INVALID_ARGUMENT", "it takes 94 MiB now");
  });

  const header = modelHeader();
  const broken = [
    ["that is cut short", () => files.write("cut.gguf", header), "MODEL_TRUNCATED"],
    ["that is no GGUF", () => files.write("text.gguf", "Hello, I am no model."), "MODEL_INVALID"],
    ["with half a header", () => files.write("header.gguf", header.subarray(0, 100_000)), "MODEL_INVALID"],
    ["that is not there", () => join(files.directory, "nowhere.gguf"), "MODEL_NOT_FOUND"],
    [
      "without layers",
      () => files.sparse("layers.gguf", withNumber(header, "llama.block_count", 0), modelSize),
      "MODEL_UNSUPPORTED",
    ],
    [
      "of an unknown architecture",
      () => files.sparse("unknown.gguf", withArchitecture(header, "llama", "lhama"), modelSize),
      "MODEL_UNSUPPORTED",
    ],
  ] as const;
  it.each(broken)("%s is refused", async (_, write, code) => {
    const path = write();
    await expectCode(quantise("Q8_0", { path }), code);
    expect(readdirSync(models)).toEqual([]);
  });

  it("with weights that are no numbers leaves nothing", async () => {
    const path = spoiled("nan.gguf", 0x7e00);
    await expectCode(quantise("Q8_0", { path }), "MODEL_INVALID", `The predictions of ${path} are not numbers`);
    const target = join(files.directory, "nan-Q8_0.gguf");
    await expectCode(
      engine.quantise({ source: path, target, type: "Q8_0", threads }),
      "INTERNAL",
      "cannot be quantised",
    );
    expect(readdirSync(models)).toEqual([]);
  });
});

describe("a result", () => {
  let divergenceOfQ8 = 0;

  it("as Q8_0 is as large as was predicted and predicts almost the same", async () => {
    const { offers } = await quantiser.plan(f16, new AbortController().signal);
    const progress: QuantiseProgress[] = [];
    const result = await quantise("Q8_0", { onProgress: (value) => progress.push(value) });
    expect(result.path).toBe(join(models, "SmolLM2-Q8_0.gguf"));
    expect(Math.abs(result.sizeBytes - (offers[0]?.sizeBytes ?? 0))).toBeLessThan(10 * 1024);
    expect(result.sameTop).toBeGreaterThan(0.95);
    expect(result.meanKl).toBeLessThan(0.02);
    divergenceOfQ8 = result.meanKl ?? NaN;
    const written = progress.filter(({ phase }) => phase === "quantising").map(({ fraction }) => fraction);
    expect(written).toEqual(written.toSorted((a, b) => a - b));
    expect(written.at(-1)).toBeGreaterThan(0.99);
    expect(progress.at(-1)).toEqual({ phase: "checking", fraction: 1 });
    expect(await engine.summariseWeights({ path: result.path })).toMatchObject({ type: "q8_0" });
  });

  it("as Q4_K_M is further away, within its bound, and answers", async () => {
    const { path, meanKl, sizeBytes } = await quantise("Q4_K_M");
    expect(meanKl).toBeGreaterThan(2 * divergenceOfQ8);
    expect(meanKl).toBeLessThan(0.3);
    expect(sizeBytes).toBeLessThan(statSync(f16).size / 2);
    expect(readdirSync(models).sort()).toEqual(["SmolLM2-Q4_K_M.gguf", "SmolLM2-Q8_0.gguf"]);
    const model = await engine.loadModel({ path, contextLength: 256, gpu: "off" });
    const session = await model?.createSession({ contextLength: 256, threads: 1 });
    const tokens = await model?.tokenize([{ text: "The capital of France is", special: false }]);
    const answer = await session?.generate({ tokens: tokens ?? new Int32Array(), priority: "chat", maxTokens: 8 });
    expect(answer?.text).toContain("Paris");
    await model?.close();
  });

  it("that is cancelled leaves no file", async () => {
    const before = readdirSync(models).sort();
    const controller = new AbortController();
    const { signal } = controller;
    // In the middle: IQ4_XS takes longest.
    const onProgress = ({ fraction }: QuantiseProgress) => {
      if (fraction > 0) controller.abort();
    };
    await expectCode(quantise("IQ4_XS", { signal, onProgress }), "CANCELLED");
    expect(readdirSync(models).sort()).toEqual(before);
  });
});

describe("a comparison", () => {
  const compare = (judged: string, reference?: string) =>
    engine.compareModels({
      judged,
      text: checkText.slice(0, 200),
      threads,
      ...(reference !== undefined && { reference }),
    });

  it("of a model with itself finds no difference", async () => {
    const { tokens, surprise, meanKl, sameTop } = await compare(modelPath, modelPath);
    expect({ meanKl, sameTop }).toEqual({ meanKl: 0, sameTop: 1 });
    expect(tokens).toBeGreaterThan(20);
    expect(surprise).toBeGreaterThan(0.5);
    expect(surprise).toBeLessThan(4);
  });

  it("tells a spoiled model from a good one, also without a reference", async () => {
    const twos = spoiled("twos.gguf", 0x3800);
    const verdicts = [await compare(twos, modelPath), await compare(twos)];
    expect(verdicts.map(({ meanKl }) => meanKl)).toEqual([expect.any(Number), null]);
    for (const found of verdicts)
      await expectCode(
        () => {
          judgeResult(found, "Q4_0");
        },
        "QUALITY_TOO_LOW",
        "nats",
      );
    await expectCode(compare(modelPath, files.write("x.gguf", "no model")), "MODEL_INVALID");
  });

  it("of predictions that are no numbers says so", async () => {
    const bad = spoiled("nan.gguf", 0x7e00);
    const ofSource = await compare(f16, bad);
    expect(ofSource.meanKl).toBeNaN();
    await expectCode(
      () => {
        judgeResult(ofSource, "Q8_0");
      },
      "MODEL_INVALID",
      "The predictions of the source",
    );
    const found = await compare(bad, f16);
    expect(found).toMatchObject({ surprise: NaN, meanKl: NaN });
    await expectCode(
      () => {
        judgeResult(found, "Q8_0");
      },
      "QUALITY_TOO_LOW",
      "not numbers",
    );
  });
});

it("a result that cannot be written says so", async () => {
  const target = join(files.directory, "nowhere", "x.gguf");
  await expectCode(engine.quantise({ source: f16, target, type: "Q8_0", threads }), "INTERNAL", "cannot be written");
});

describe("arguments", () => {
  it("of the wrong kind are refused", async () => {
    const target = join(files.directory, "x.gguf");
    await expectCode(engine.predictQuantisedBytes({ path: f16, type: "Q9" }), "INVALID_ARGUMENT", "Q4_K_M", '"Q9"');
    await expectCode(engine.quantise({ source: f16, target, type: "Q8_0", threads: 0 }), "INVALID_ARGUMENT", "threads");
    await expectCode(engine.summariseWeights({} as { path: string }), "INVALID_ARGUMENT", "summariseWeights.path");
  });
});
