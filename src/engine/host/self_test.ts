import type { BackendStatus } from "../../shared/engine_status";
import { toEngineError } from "../../shared/errors";
import type { SelfTestStep } from "../../shared/machine_report";
import type { ModelChoice, ModelRole } from "../../shared/models";
import { throwIfAborted } from "../unless_aborted";
import type { ModelHandle } from "./model_handle";
import type { ModelManager, NativeRuntime } from "./model_manager";

export interface SelfTestOptions {
  runtime: () => NativeRuntime;
  backends: () => BackendStatus[];
  models: ModelManager;
  /** The model of each role; `auto` where none is given. */
  choices: Partial<Record<ModelRole, ModelChoice>>;
  signal: AbortSignal;
  onStep: (step: SelfTestStep) => void;
}

/** Tries every layer of the engine, from loading the addon to a generated answer; stops at the first that fails. */
export async function runSelfTest(options: SelfTestOptions): Promise<SelfTestStep[]> {
  const { runtime, backends, onStep } = options;
  const checks: [name: string, check: () => Promise<string>][] = [
    ["Load the native engine", () => Promise.resolve(`llama.cpp ${runtime().engine.libraryVersion}`)],
    ["Find devices", () => Promise.resolve(describeDevices(runtime(), backends()))],
    ["Load the model for ghost text", () => load("fast", options)],
    ["Generate text with it", () => generate("fast", options)],
    ["Load the model for chat", () => load("main", options)],
    ["Generate text with it", () => generate("main", options)],
  ];
  const steps: SelfTestStep[] = [];
  for (const [name, check] of checks) {
    const step = await timed(name, check);
    steps.push(step);
    onStep(step);
    if (!step.ok) break;
  }
  return steps;
}

function describeDevices({ engine }: NativeRuntime, backends: readonly BackendStatus[]): string {
  const devices = engine
    .devices()
    .map(
      ({ name, description, memoryFree }) =>
        `${name} (${description}, ${String(Math.round(memoryFree / 2 ** 20))} MiB free)`,
    );
  const unused = backends
    .filter(({ usable }) => !usable)
    .map(({ name, reason }) => `; without ${name}, because ${reason}`);
  return devices.join(", ") + unused.join("");
}

function load(role: ModelRole, { models, choices, signal }: SelfTestOptions): Promise<string> {
  const describe = ({ ref, info }: ModelHandle) => Promise.resolve(`${ref}: ${info.description}`);
  return models.use(choices[role] ?? "auto", role, describe, { signal });
}

function generate(role: ModelRole, { models, choices, signal }: SelfTestOptions): Promise<string> {
  const answer = async (model: ModelHandle) => {
    const tokens = await model.tokenize([{ text: "1 2 3 4 5 6 7 8", special: false }]);
    const result = await model.generate({ tokens, priority: "chat", maxTokens: 16, signal });
    throwIfAborted(signal);
    if (result.tokens.length === 0) throw new Error("The model ended its answer before the first token.");
    const speed = (result.tokens.length / result.decodeMs) * 1000;
    return `${String(result.tokens.length)} tokens at ${speed.toFixed(1)} tokens/s: ${JSON.stringify(result.text)}`;
  };
  return models.use(choices[role] ?? "auto", role, answer, { signal });
}

async function timed(name: string, check: () => Promise<string>): Promise<SelfTestStep> {
  const begin = performance.now();
  try {
    const detail = await check();
    return { name, ok: true, detail, milliseconds: performance.now() - begin };
  } catch (thrown) {
    const { code, message } = toEngineError(thrown);
    return { name, ok: false, detail: `${message} (${code})`, milliseconds: performance.now() - begin };
  }
}
