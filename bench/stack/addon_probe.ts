/**
 * Stands in for the addon in an engine host: the real one, with the moments of every generation written down. Bundled by
 * itself and loaded through NMOS_ADDON, so that nothing in the product knows of it.
 */
import { appendFileSync } from "node:fs";
import { createRequire } from "node:module";
import type {
  GenerateOptions,
  NativeAddon,
  NativeEngine,
  NativeModel,
  NativeSession,
} from "../../src/engine/native/addon";
import { machineNow } from "../harness/clock";
import { probeVariables, type ProbedGeneration } from "./probed_generation";

function variable(name: string): string {
  const value = process.env[name];
  if (!value) throw new Error(`Expected ${name} in the environment.`);
  return value;
}

const addonFile = variable(probeVariables.addon);
const eventsFile = variable(probeVariables.events);
const addon = createRequire(addonFile)(addonFile) as NativeAddon;

/** Methods of native objects are read-only, hence a property of the object itself. */
function override<Target extends object, Name extends keyof Target>(
  target: Target,
  name: Name,
  value: Target[Name],
): void {
  Object.defineProperty(target, name, { value });
}

function watchEngine(engine: NativeEngine): NativeEngine {
  const loadModel = engine.loadModel.bind(engine);
  override(engine, "loadModel", async (options) => {
    const model = await loadModel(options);
    return model && watchModel(model);
  });
  return engine;
}

function watchModel(model: NativeModel): NativeModel {
  const createSession = model.createSession.bind(model);
  override(model, "createSession", async (options) => watchSession(await createSession(options)));
  return model;
}

function watchSession(session: NativeSession): NativeSession {
  const generate = session.generate.bind(session);
  override(session, "generate", async (options: GenerateOptions, onText?: (text: string) => void) => {
    const textsAt: number[] = [];
    const calledAt = machineNow();
    const result = await generate(options, (text) => {
      textsAt.push(machineNow());
      onText?.(text);
    });
    const { queuedMs, prefillMs, decodeMs } = result;
    const event: ProbedGeneration = { calledAt, queuedMs, prefillMs, decodeMs, textsAt };
    // Not before the answer has left, or writing would count as the product's time.
    setImmediate(() => {
      appendFileSync(eventsFile, `${JSON.stringify(event)}\n`);
    });
    return result;
  });
  return session;
}

export const { Cancellation, keepPipeToUser } = addon;

export const Engine = new Proxy(addon.Engine, {
  construct: (target, [options]: ConstructorParameters<NativeAddon["Engine"]>) => watchEngine(new target(options)),
});
