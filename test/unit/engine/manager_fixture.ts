import { noGuesses } from "../../../src/engine/guesses";
import { ModelManager, type NativeRuntime } from "../../../src/engine/host/model_manager";
import type { ModelStore } from "../../../src/engine/models/model_store";
import type {
  GenerateOptions,
  LoadModelOptions,
  NativeModel,
  NativePlacement,
  PlanOptions,
  SessionOptions,
} from "../../../src/engine/native/addon";
import { DEFAULT_ENGINE_SETTINGS, type EngineSettings } from "../../../src/shared/engine_settings";
import { fakeModelInfo } from "../support/fake_model_handle";
import { endedOrCancelled } from "./gate";

export const mib = 2 ** 20;
export const layerMap = [{ attentionOnDevice: true, card: "GPU", network: { device: 0, uploaded: 0.5, host: 0.5 } }];
export const nothing = () => Promise.resolve();

export interface Machine {
  /** Largest context that fits beside what is loaded, in tokens, by the number of loaded models. */
  room?: (loaded: number) => number;
  trainedContext?: number;
  settings?: Partial<EngineSettings>;
  /** Layers of two that lie on the card. */
  deviceLayers?: number;
  /** While a model is looked for. */
  choosing?: () => Promise<void>;
  /** A prefill takes until then. */
  working?: Promise<void>;
  /** A load takes until then. */
  until?: Promise<void>;
  /** Bytes of a model that the card can give back. */
  releasable?: number;
  /** Filling takes until then, or until it is stopped. */
  filling?: Promise<void>;
  /** Closing a model takes until then. */
  closing?: Promise<void>;
  /** The automatic choice for ghost text; without one none is installed. */
  fast?: string;
  /** Where ghost text would go. */
  plan?: (options: PlanOptions) => Promise<Partial<NativePlacement>>;
  /** So many sessions are refused memory. */
  refusals?: number;
  /** Of every model but the automatic choice for ghost text and "f", which have one. */
  mainBytes?: number;
  /** Whether the models share a vocabulary. */
  mayDraft?: boolean;
  /** Whether they can forget wrong guesses. */
  takesTokensBack?: boolean;
  /** The manager's clock. */
  now?: () => number;
}

class Cancellation {
  cancelled = false;
  cancel(): void {
    this.cancelled = true;
  }
}

/** A manager over a machine with so much room; keeps what was loaded and closed. */
export function manager({
  room = () => Infinity,
  trainedContext = Infinity,
  settings = {},
  until,
  deviceLayers = 0,
  choosing = nothing,
  working = nothing(),
  releasable = 0,
  filling = nothing(),
  closing = nothing(),
  fast,
  plan = () => Promise.resolve({ deviceBytes: 100 * mib }),
  refusals = 0,
  mainBytes = 10,
  mayDraft = true,
  takesTokensBack = true,
  now,
}: Machine = {}) {
  /** Of every loaded model, until it gives something back. */
  const slowness: { timesAsLong: number | null } = { timesAsLong: null };
  const card = { name: "GPU", kind: "gpu", memoryFree: 2 ** 40, memoryBeyond: 0, isLost: false };
  const events: string[] = [];
  const lines: string[] = [];
  const stoppedFillings: string[] = [];
  const asked: LoadModelOptions[] = [];
  const planned: PlanOptions[] = [];
  let loaded = 0;
  let passes = 0;
  const sizeOf = (path: string) => (path === "f" || path === fast ? 1 : mainBytes);
  const refuse = (code: string) => Promise.reject(Object.assign(new Error(code), { code }));
  const loadModel = async (options: LoadModelOptions): Promise<NativeModel | null> => {
    const { path, contextLength, cancellation, onProgress } = options;
    await new Promise((resolve) => setImmediate(resolve));
    onProgress?.(0.5);
    await until;
    asked.push(options);
    if (cancellation?.cancelled) {
      events.push(`cancel ${path}`);
      return null;
    }
    if (contextLength > trainedContext) return refuse("CONTEXT_TOO_LONG");
    if (contextLength > room(loaded)) return refuse("OUT_OF_MEMORY");
    loaded += 1;
    events.push(`load ${path} ${String(contextLength)}`);
    let releasedBytes = 0;
    return {
      info: { ...fakeModelInfo(null), path, sizeBytes: sizeOf(path), takesTokensBack },
      placement: {
        contextLength,
        layers: 2,
        deviceLayers,
        hostBytes: 10,
        deviceBytes: deviceLayers * mib,
        kvBytes: 2 * mib,
        cards: [{ device: "GPU", layers: deviceLayers, bytes: deviceLayers * mib, kvBytes: deviceLayers * mib }],
        explanation: [],
        layerMap,
      },
      get activity() {
        return { passes, releasedBytes, releasedOfCards: [releasedBytes], timesAsLong: slowness.timesAsLong };
      },
      release: ({ bytes = Infinity }) => {
        const released = Math.min(bytes, releasable - releasedBytes);
        releasedBytes += released;
        if (released > 0) slowness.timesAsLong = null;
        card.memoryFree += released;
        events.push(`release ${path} ${String(released / mib)}`);
        return Promise.resolve(released);
      },
      prefetch: async ({ bytes, cancellation: stopped }: { bytes: number; cancellation: Cancellation }) => {
        events.push(`${bytes === 0 ? "page in" : "prefetch"} ${path}`);
        await endedOrCancelled(filling, stopped);
        if (stopped.cancelled) stoppedFillings.push(path);
        if (bytes === 0 || stopped.cancelled) return 0;
        events.push(`filled ${path}`);
        releasedBytes = 0;
        return releasable;
      },
      createSession: ({ draftsFor }: SessionOptions) => {
        if (draftsFor && !mayDraft) return refuse("INVALID_ARGUMENT");
        if (refusals-- > 0) return refuse("OUT_OF_MEMORY");
        if (draftsFor) events.push(`draft ${path} for ${draftsFor.info.path}`);
        return Promise.resolve({
          cachedTokens: () => new Int32Array(),
          generate: ({ draft }: GenerateOptions) => {
            events.push(`generate ${path}${draft ? " with draft" : ""}`);
            return Promise.resolve({ queuedMs: 0, ...noGuesses });
          },
          close: () => {
            if (draftsFor) events.push(`close draft of ${path}`);
            return Promise.resolve();
          },
          prefill: () => {
            passes += 1;
            return working.then(() => ({ queuedMs: 0 }));
          },
        });
      },
      close: async () => {
        loaded -= 1;
        events.push(`close ${path}`);
        await closing;
      },
    } as unknown as NativeModel;
  };
  const store = {
    choose: async (choice: string) => {
      await choosing();
      const ref = choice === "auto" ? fast : choice;
      if (ref === undefined) return refuse("MODEL_NOT_INSTALLED");
      return { ref, name: ref, path: ref, roles: [], sizeBytes: sizeOf(ref) };
    },
  } as unknown as ModelStore;
  const engine = {
    loadModel,
    planModel: (options: PlanOptions) => {
      planned.push(options);
      return plan(options);
    },
    memory: () => ({ availableBytes: 2 ** 40 }),
    devices: () => {
      if (card.isLost) throw new Error("the card is lost");
      return [card];
    },
  };
  const one = new ModelManager({
    runtime: () => ({ engine, addon: { Cancellation } }) as unknown as NativeRuntime,
    store,
    settings: () => ({ ...DEFAULT_ENGINE_SETTINGS, ...settings }),
    log: (line) => {
      lines.push(line);
    },
    onChanged: () => undefined,
    ...(now && { now }),
  });
  /** What the limit still allowed on the card when a model was loaded. */
  const limits = () =>
    asked.map(({ vramLimitBytes = 0, vramUsedBytes = {} }) => vramLimitBytes - (vramUsedBytes["GPU"] ?? 0));
  /** What the model might have of the card then, because more was moved to RAM. */
  const granted = () => asked.map(({ vramGrantedBytes = {} }) => vramGrantedBytes["GPU"] ?? null);
  const reserved = () => asked.map(({ vramReservedBytes }) => vramReservedBytes);
  return { one, events, lines, stoppedFillings, asked, planned, limits, granted, reserved, card, slowness };
}

/** Resolves when a load is under way and has reported. */
export async function begun(one: ModelManager): Promise<void> {
  while (one.loading()[0]?.fraction !== 0.5) await new Promise((resolve) => setImmediate(resolve));
}
