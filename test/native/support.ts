import {
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, expect } from "vitest";
import { catalogue } from "../../src/engine/models/catalogue";
import type {
  GenerateOptions,
  NativeAddon,
  NativeEngine,
  NativeModel,
  NativeSession,
  PromptPart,
} from "../../src/engine/native/addon";
import { loadAddon } from "../../src/engine/native/load_addon";
import { modelsDirectory } from "../../src/engine/paths";
import type { ErrorCode } from "../../src/shared/errors";

const testModel = "smollm2-135m";

export const root = resolve(dirname(fileURLToPath(import.meta.url)), "../..");

export const { addon, libraryDirectory } = loadAddon(root);

/** The small model of the tests. That it is missing is a failure, because nothing would be tested without it. */
export const modelPath = findModel();

function findModel(): string {
  const file = catalogue.find(({ id }) => id === testModel)?.file;
  const path = join(modelsDirectory(), file ?? "");
  if (file === undefined || !existsSync(path)) {
    throw new Error(`Expected ${testModel} at ${path}. Fetch it with: npm test -- --only native`);
  }
  return path;
}

export const Cancellation: NativeAddon["Cancellation"] = addon.Cancellation;

/** An engine on the processor that is closed after the tests of the file. */
export function openEngine(): NativeEngine {
  const engine = new addon.Engine({ libraryDirectory, backends: "cpu" });
  afterAll(() => engine.close());
  return engine;
}

export async function loadModel(engine: NativeEngine): Promise<NativeModel> {
  const model = await engine.loadModel({ path: modelPath, contextLength: 1024, gpu: "off" });
  if (!model) throw new Error("The load was cancelled by nobody.");
  return model;
}

export interface Bench {
  engine: NativeEngine;
  model: NativeModel;
  /** One thread, so that the tests do not depend on the number of cores. */
  session: (options?: { contextLength?: number; batchSize?: number }) => Promise<NativeSession>;
  tokens: (text: string | PromptPart[]) => Promise<Int32Array>;
}

export async function openBench(engine: NativeEngine = openEngine()): Promise<Bench> {
  const model = await loadModel(engine);
  return {
    engine,
    model,
    session: (options) => model.createSession({ contextLength: 512, threads: 1, ...options }),
    tokens: (text) => model.tokenize(typeof text === "string" ? [{ text, special: false }] : text, { addBos: false }),
  };
}

/** An answer that does not end by itself. */
export const endless: Pick<GenerateOptions, "maxTokens" | "sampler"> = {
  maxTokens: 100_000,
  sampler: { grammar: 'root ::= " a"*' },
};

/** About `count` tokens of text. */
export async function longPrompt({ tokens }: Bench, count: number): Promise<Int32Array> {
  const lines = Array.from({ length: count / 8 + 1 }, (_, line) => `Line ${line * 7} of the story says hello.\n`);
  return (await tokens(lines.join(""))).slice(0, count);
}

/** The promise must be rejected, or the function throw, with this code and with every part in its message. */
export async function expectCode(
  outcome: Promise<unknown> | (() => unknown),
  code: ErrorCode,
  ...parts: string[]
): Promise<void> {
  let thrown: unknown;
  try {
    await (typeof outcome === "function" ? outcome() : outcome);
  } catch (error) {
    thrown = error;
  }
  expect(thrown, `expected ${code}`).toBeInstanceOf(Error);
  const error = thrown as Error & { code?: unknown };
  expect({ code: error.code, message: error.message }).toMatchObject({ code });
  for (const part of parts) expect(error.message).toContain(part);
}

/** Model files that are damaged or lie, made from the real one; gone after the tests of the file. */
export function modelFiles() {
  const directory = mkdtempSync(join(tmpdir(), "nmos-native-"));
  afterAll(() => {
    rmSync(directory, { recursive: true, force: true });
  });
  const write = (name: string, content: Buffer | string): string => {
    const path = join(directory, name);
    writeFileSync(path, content);
    return path;
  };
  return {
    directory,
    write,
    /** The header, then zeros up to `size`, which take no room on disk. */
    sparse(name: string, header: Buffer, size: number): string {
      const path = write(name, header);
      truncateSync(path, size);
      return path;
    },
  };
}

export const modelSize = statSync(modelPath).size;

/** The beginning of the real model, which holds all of its header. */
export function modelHeader(bytes = 4_000_000): Buffer {
  const buffer = Buffer.alloc(bytes);
  const file = openSync(modelPath, "r");
  try {
    readSync(file, buffer, 0, bytes, 0);
  } finally {
    closeSync(file);
  }
  return buffer;
}

/** With another number in place of an unsigned 32-bit value of the metadata. */
export function withNumber(header: Buffer, key: string, value: number): Buffer {
  const patched = Buffer.from(header);
  const at = patched.indexOf(key);
  const type = at + key.length;
  if (at < 0 || patched.readUInt32LE(type) !== 4) throw new Error(`Expected ${key} with a 32-bit number.`);
  patched.writeUInt32LE(value, type + 4);
  return patched;
}

/** With the architecture's name replaced wherever it stands, by one of the same length. */
export function withArchitecture(header: Buffer, from: string, to: string): Buffer {
  return Buffer.from(header.toString("latin1").replaceAll(from, to), "latin1");
}
