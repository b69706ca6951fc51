import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { NativeDivergence } from "../../../src/engine/native/addon";
import { Quantiser, type QuantiserOptions } from "../../../src/engine/quantise/quantiser";
import type { RunWorker } from "../../../src/engine/quantise/run_worker";
import type { WorkerTask } from "../../../src/engine/quantise/worker_task";
import { EngineError, toEngineError } from "../../../src/shared/errors";
import type { QuantiseParams, QuantiseProgress } from "../../../src/shared/quantise";
import { temporaryDirectories } from "../models/temporary_directory";

const temporaryDirectory = temporaryDirectories();

interface Machine {
  /** Of the source. */
  type: string;
  typeShare: number;
  lowPrecision: boolean;
  fileBytes: number;
  sizes: Record<string, number>;
  divergence: Partial<NativeDivergence>;
  /** When the result is compared, before its figures are there. */
  compare: () => Promise<void>;
  /** Mean -ln p of the source by itself. */
  sourceSurprise: number;
  /** How writing ends after the first bytes. */
  write: (signal: AbortSignal) => Promise<void>;
  options: Partial<QuantiserOptions>;
}

/** A quantiser whose process writes "GGUF"; what it was told to do is in `tasks`. */
function machine(given: Partial<Machine> = {}) {
  const directory = temporaryDirectory();
  const source = join(directory, "Model-F16.gguf");
  writeFileSync(source, "GGUF and more");
  const { type = "f16", fileBytes = 1000, sizes = { Q8_0: 600, Q4_K_M: 400, Q4_0: 390, IQ4_XS: 380 } } = given;
  const { typeShare = 1, lowPrecision = false } = given;
  const tasks: WorkerTask[] = [];
  const perform = async (task: WorkerTask, signal: AbortSignal, cwd: string) => {
    tasks.push(task);
    if (task.kind === "plan") return { type, typeShare, lowPrecision, fileBytes, sizes };
    if (task.kind === "compare" && task.judged === source) {
      return { tokens: 9, surprise: given.sourceSurprise ?? 2, meanKl: null, sameTop: null };
    }
    if (task.kind === "compare") await given.compare?.();
    if (task.kind === "compare") return { tokens: 9, surprise: 2, meanKl: 0.01, sameTop: 0.9, ...given.divergence };
    writeFileSync(join(cwd, task.target), "GGUF");
    await given.write?.(signal);
    return null;
  };
  const runWorker = ((task, { signal, directory: cwd }) => perform(task, signal, cwd)) as RunWorker;
  const quantiser = new Quantiser({
    modelsDirectory: () => directory,
    catalogueFiles: [],
    runWorker,
    log: () => undefined,
    threads: () => 0,
    unload: () => Promise.resolve(),
    freeBytes: () => Promise.resolve(2 ** 40),
    ...given.options,
  });
  const progress: QuantiseProgress[] = [];
  const quantise = (changes: Partial<QuantiseParams> = {}, signal = new AbortController().signal) =>
    quantiser.quantise(
      { path: source, type: "Q4_K_M", lossAccepted: false, replace: false, ...changes },
      { signal, onProgress: (value) => progress.push(value) },
    );
  return { directory, source, tasks, quantiser, quantise, progress, files: () => readdirSync(directory).sort() };
}

async function failure(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => "none",
    (thrown: unknown) => {
      const { code, message } = toEngineError(thrown);
      return `${code}: ${message}`;
    },
  );
}

const untilAborted = (signal: AbortSignal) =>
  new Promise<void>((_, reject) => {
    signal.addEventListener("abort", () => {
      reject(new EngineError("CANCELLED", "The request was cancelled."));
    });
  });

describe("a plan", () => {
  test("has the predicted sizes and where the results would lie", async () => {
    const { quantiser, source, directory } = machine();
    writeFileSync(join(directory, "Model-Q4_0.gguf"), "GGUF");
    const plan = await quantiser.plan(source, new AbortController().signal);
    expect(plan).toMatchObject({ type: "f16", sizeBytes: 1000, losesQuality: false });
    expect(
      plan.offers.map(({ type, sizeBytes, targetExists, refusal }) => [type, sizeBytes, targetExists, refusal]),
    ).toEqual([
      ["Q8_0", 600, false, ""],
      ["Q4_K_M", 400, false, ""],
      ["Q4_0", 390, true, ""],
      ["IQ4_XS", 380, false, ""],
    ]);
    expect(plan.offers[1]?.target).toBe(join(directory, "Model-Q4_K_M.gguf"));
  });

  test.each([true, false])("of weights of low precision (%s) loses quality", async (lowPrecision) => {
    const { quantiser, source } = machine({ type: "q8_0", lowPrecision });
    const plan = await quantiser.plan(source, new AbortController().signal);
    expect(plan.losesQuality).toBe(lowPrecision);
  });

  test.each([
    [1, "The model is Q8_0 already."],
    [0.95, "The model is Q8_0 already."],
    [0.8, ""],
  ])("of weights that are Q8_0 by %d says of that type: %s", async (typeShare, refusal) => {
    const { quantiser, source } = machine({ type: "q8_0", typeShare });
    const { offers } = await quantiser.plan(source, new AbortController().signal);
    expect(offers.map((offer) => offer.refusal)).toEqual([refusal, "", "", ""]);
  });

  test("avoids the names of the catalogue and the source itself", async () => {
    const { quantiser, directory } = machine({ options: { catalogueFiles: ["model-q4_k_m.gguf"] } });
    const { offers } = await quantiser.plan(join(directory, "Model-Q8_0.gguf"), new AbortController().signal);
    expect(offers[0]?.target).toBe(join(directory, "Model-own-Q8_0.gguf"));
    expect(offers[1]?.target).toBe(join(directory, "Model-own-Q4_K_M.gguf"));
  });
});

describe("a result", () => {
  test("takes its name when it was checked", async () => {
    const { quantise, files, tasks, progress, directory } = machine();
    const path = join(directory, "Model-Q4_K_M.gguf");
    expect(await quantise()).toEqual({ path, sizeBytes: 4, meanKl: 0.01, sameTop: 0.9 });
    expect(files()).toEqual(["Model-F16.gguf", "Model-Q4_K_M.gguf"]);
    expect(tasks.map(({ kind }) => kind)).toEqual(["plan", "compare", "quantise", "compare"]);
    expect(progress).toEqual([
      { phase: "trying", fraction: 0 },
      { phase: "quantising", fraction: 4 / 400 },
      { phase: "checking", fraction: 0 },
      { phase: "checking", fraction: 1 },
    ]);
  });

  test.each([
    [1000, true],
    [999, false],
  ])("on a machine with %d bytes of RAM is compared with its source: %s", async (memoryBytes, isCompared) => {
    const { quantise, tasks, source } = machine({ options: { memoryBytes } });
    await quantise();
    const compares = tasks.filter(({ kind }) => kind === "compare");
    const last = { reference: isCompared ? source : null };
    expect(compares).toMatchObject(isCompared ? [{ judged: source, reference: null }, last] : [last]);
  });

  test.each([
    [0, Math.max(1, Math.floor(availableParallelism() / 2))],
    [1, 1],
    [1000, Math.max(1, Math.floor(availableParallelism() / 2))],
  ])("with %d threads in the settings takes %d", async (setting, threads) => {
    const { quantise, tasks } = machine({ options: { threads: () => setting } });
    await quantise();
    expect(tasks.slice(1)).toMatchObject([{ threads }, { threads }, { threads }]);
  });

  test("replaces a file that exists when the user agrees, after its model was unloaded", async () => {
    const unloaded: string[] = [];
    const unload = (path: string) => Promise.resolve(void unloaded.push(path));
    const { quantise, directory } = machine({ options: { unload } });
    const path = join(directory, "Model-Q4_K_M.gguf");
    writeFileSync(path, "old");
    expect(await failure(quantise())).toContain("INVALID_ARGUMENT");
    expect(readFileSync(path, "utf8")).toBe("old");
    await quantise({ replace: true });
    expect(readFileSync(path, "utf8")).toBe("GGUF");
    // Also before the work: it would be in vain.
    expect(unloaded).toEqual([path, path]);
  });

  test("replaces no file that appears at its place during the work", async () => {
    let directory = "";
    const appear = (name: string) => {
      writeFileSync(join(directory, name), "other");
    };
    const compare = () => {
      appear("Model-Q4_K_M.gguf");
      appear("Model-Q4_K_M-2.gguf");
      return Promise.resolve();
    };
    const { quantise, files, ...rest } = machine({ compare });
    directory = rest.directory;
    const { path } = await quantise();
    expect(path).toBe(join(directory, "Model-Q4_K_M-3.gguf"));
    expect(readFileSync(path, "utf8")).toBe("GGUF");
    expect(readFileSync(join(directory, "Model-Q4_K_M.gguf"), "utf8")).toBe("other");
    expect(files()).toHaveLength(4);
  });

  test("takes another name when the model at its place has come into use", async () => {
    let asked = 0;
    const unload = () =>
      ++asked === 1 ? Promise.resolve() : Promise.reject(new EngineError("MODEL_IN_USE", "It is in use."));
    const { quantise, files, directory } = machine({ options: { unload } });
    writeFileSync(join(directory, "Model-Q4_K_M.gguf"), "old");
    expect(await quantise({ replace: true })).toMatchObject({ path: join(directory, "Model-Q4_K_M-2.gguf") });
    expect(readFileSync(join(directory, "Model-Q4_K_M.gguf"), "utf8")).toBe("old");
    expect(files()).toEqual(["Model-F16.gguf", "Model-Q4_K_M-2.gguf", "Model-Q4_K_M.gguf"]);
  });

  test.each(["OUT_OF_MEMORY", "ENGINE_DIED", "MODEL_INVALID"] as const)(
    "is kept under a name that is no model's when its check ends with %s",
    async (code) => {
      const compare = () => Promise.reject(new EngineError(code, "It ended."));
      const { quantise, files, directory } = machine({ compare });
      const kept = join(directory, "Model-Q4_K_M.gguf.kept");
      const message = await failure(quantise());
      expect(message).toContain(`${code}: It ended. The result is complete, but could not be checked.`);
      expect(message).toContain(kept);
      expect(readFileSync(kept, "utf8")).toBe("GGUF");
      expect(files()).toEqual(["Model-F16.gguf", "Model-Q4_K_M.gguf.kept"]);
    },
  );

  test("is kept when the disk does not take its bytes", async () => {
    let directory = "";
    const write = () => {
      const [partial = ""] = readdirSync(directory).filter((name) => name.endsWith(".part"));
      rmSync(join(directory, partial));
      mkdirSync(join(directory, partial));
      return Promise.resolve();
    };
    const { quantise, ...rest } = machine({ write });
    directory = rest.directory;
    expect(await failure(quantise())).toContain("The result is complete, but could not be checked. It was kept as");
    expect(rest.files()).toHaveLength(2);
  });

  test("is kept when it was checked but no name is left", async () => {
    let directory = "";
    const compare = () => {
      for (let number = 1; number <= 99; ++number) {
        writeFileSync(join(directory, `Model-Q4_K_M${number === 1 ? "" : `-${String(number)}`}.gguf`), "other");
      }
      return Promise.resolve();
    };
    const { quantise, ...rest } = machine({ compare });
    directory = rest.directory;
    expect(await failure(quantise())).toContain("The result is complete and was checked. It was kept as");
    expect(readFileSync(join(directory, "Model-Q4_K_M.gguf.kept"), "utf8")).toBe("GGUF");
  });

  test("stays beside what cannot be replaced", async () => {
    const { quantise, directory } = machine();
    mkdirSync(join(directory, "Model-Q4_K_M.gguf", "inside"), { recursive: true });
    expect(await quantise({ replace: true })).toMatchObject({ path: join(directory, "Model-Q4_K_M-2.gguf") });
    expect(existsSync(join(directory, "Model-Q4_K_M.gguf", "inside"))).toBe(true);
  });
});

describe("a request", () => {
  const refused: [string, Partial<Machine>, Partial<QuantiseParams>, string][] = [
    ["weights of low precision", { type: "q4_K", lowPrecision: true }, {}, "INVALID_ARGUMENT: The weights of"],
    ["the same type", { type: "q8_0" }, { type: "Q8_0" }, "INVALID_ARGUMENT: The model is Q8_0 already."],
    ["no smaller result", { fileBytes: 400 }, {}, "As Q4_K_M the model would take 1 MiB"],
    ["an unknown type", {}, { type: "Q3_K" as "Q8_0" }, "Expected one of Q8_0, Q4_K_M, Q4_0, IQ4_XS as the type"],
    ["a relative path", {}, { path: "model.gguf" }, "INVALID_ARGUMENT: Expected the absolute path"],
    ["a source that predicts no numbers", { sourceSurprise: NaN }, {}, "MODEL_INVALID: The predictions of"],
    [
      "a model in use at its place",
      { options: { unload: () => Promise.reject(new EngineError("MODEL_IN_USE", "It is in use.")) } },
      { replace: true },
      "MODEL_IN_USE",
    ],
    ["no room", { options: { freeBytes: () => Promise.resolve(1000) } }, {}, "DISK_FULL"],
  ];
  test.each(refused)("with %s is refused before anything is written", async (_, given, params, expected) => {
    const { quantise, files, tasks } = machine(given);
    expect(await failure(quantise(params))).toContain(expected);
    expect(tasks.filter(({ kind }) => kind === "quantise")).toEqual([]);
    expect(files()).toEqual(["Model-F16.gguf"]);
  });

  test("whose result would have a name that is too long is refused before anything is written", async () => {
    const { quantise, files, tasks, directory } = machine();
    const path = join(directory, `${"x".repeat(245)}.gguf`);
    expect(await failure(quantise({ path }))).toContain(
      "INVALID_ARGUMENT: The folder cannot hold a file of the name xxx",
    );
    expect(tasks.map(({ kind }) => kind)).toEqual(["plan"]);
    expect(files()).toEqual(["Model-F16.gguf"]);
  });

  test("with weights of low precision is done when the user accepts the loss", async () => {
    const { quantise, tasks } = machine({ type: "q5_K", lowPrecision: true });
    await quantise({ lossAccepted: true });
    expect(tasks[2]).toMatchObject({ kind: "quantise", lossAccepted: true });
  });
});

describe("of a run that ends early", () => {
  const crash = () => Promise.reject(new EngineError("ENGINE_DIED", "The quantising process ended."));
  const noRoom = { freeBytes: () => Promise.resolve(left.pop() ?? 0) };
  const left: number[] = [];
  const early: [string, Partial<Machine>, string][] = [
    ["by a crash", { write: crash }, "ENGINE_DIED"],
    ["by numbers that are none", { divergence: { surprise: NaN } }, "QUALITY_TOO_LOW"],
    ["by predictions of another model", { divergence: { meanKl: 4 } }, "QUALITY_TOO_LOW"],
    ["by a failed write", { write: () => Promise.reject(new EngineError("INTERNAL", "iostream error")) }, "INTERNAL"],
    [
      "by a disk that ran full",
      { write: () => Promise.reject(new EngineError("INTERNAL", "iostream error")), options: noRoom },
      "DISK_FULL",
    ],
  ];
  test.each(early)("%s nothing is left", async (_, given, code) => {
    left.splice(0, left.length, 2 ** 40);
    const { quantise, files } = machine(given);
    expect(await failure(quantise())).toContain(code);
    expect(files()).toEqual(["Model-F16.gguf"]);
  });

  test("by the user nothing is left, and the next one can begin", async () => {
    const { quantise, files, directory } = machine({ write: untilAborted });
    const controller = new AbortController();
    const running = quantise({}, controller.signal);
    await expect.poll(() => files().length).toBe(2);
    expect(await failure(quantise())).toContain("MODEL_IN_USE: Another model is being quantised");
    controller.abort();
    expect(await failure(running)).toContain("CANCELLED");
    expect(files()).toEqual(["Model-F16.gguf"]);
    expect(existsSync(join(directory, "Model-Q4_K_M.gguf"))).toBe(false);
    const second = new AbortController();
    const again = quantise({}, second.signal);
    await expect.poll(() => files().length).toBe(2);
    second.abort();
    expect(await failure(again)).toContain("CANCELLED");
  });

  test("by the end of the engine nothing is left when that has closed", async () => {
    const { quantiser, quantise, files } = machine({ write: untilAborted });
    const running = failure(quantise());
    await expect.poll(() => files().length).toBe(2);
    await quantiser.close();
    expect(files()).toEqual(["Model-F16.gguf"]);
    expect(await running).toContain("CANCELLED");
  });
});
