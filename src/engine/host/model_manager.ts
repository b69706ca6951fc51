import { realpathSync } from "node:fs";
import { EngineError, toEngineError } from "../../shared/errors";
import {
  DEFAULT_CONTEXT_LENGTH,
  type EngineSettings,
  type LoadedModel,
  type ModelChoice,
  type ModelRef,
  type ModelRole,
} from "../../shared/protocol";
import type { InstalledModel, ModelStore } from "../models/model_store";
import type { NativeAddon, NativeCancellation, NativeEngine, NativeModel, NativePlacement } from "../native/addon";
import { unlessAborted } from "../unless_aborted";
import { NativeModelHandle } from "./native_model_handle";

/** The addon and its one engine, made with the first model. */
export interface NativeRuntime {
  addon: NativeAddon;
  engine: NativeEngine;
}

export interface ModelManagerOptions {
  /** Loads the addon on the first call; throws `BACKEND_UNAVAILABLE`. */
  runtime: () => NativeRuntime;
  store: ModelStore;
  settings: () => EngineSettings;
  log: (line: string) => void;
  /** Called after anything `loaded` or `loading` reports has changed. */
  onChanged: () => void;
}

interface Entry {
  installed: InstalledModel;
  roles: Set<ModelRole>;
  handle: NativeModelHandle;
  users: number;
  lastUsed: number;
  /** Settings changed or an unload was asked for: closed as soon as nobody uses it. */
  stale: boolean;
}

interface Loading {
  ref: ModelRef;
  fraction: number;
  listeners: Set<(fraction: number) => void>;
  /** Requests that wait for it. */
  waiting: number;
  cancellation: NativeCancellation;
  /** Settings changed meanwhile: it begins again. */
  outdated: boolean;
  entry: Promise<Entry>;
}

export interface UseOptions {
  /** Aborted, the request no longer waits for the model; a load that nobody waits for any more is cancelled. */
  signal?: AbortSignal;
  /** How far the model is loaded, from 0 to 1; not called when it is loaded already. */
  onProgress?: (fraction: number) => void;
}

const shortestContextLength = 1024;

/** One for ghost text and two conversations keep their caches at the same time. */
const sessionsPerModel = 3;

/** What a further session leaves free on every device it takes memory of. */
const sessionMarginBytes = 384 * 2 ** 20;

/** Keeps the models that are in use in memory: loads on demand, once for all requests, and gives memory back. */
export class ModelManager {
  private readonly entries = new Map<string, Entry>();
  private readonly loads = new Map<string, Loading>();

  constructor(private readonly options: ModelManagerOptions) {}

  /** Runs `action` with a model that stays loaded meanwhile. */
  async use<T>(
    choice: ModelChoice,
    role: ModelRole,
    action: (handle: NativeModelHandle) => Promise<T>,
    options: UseOptions = {},
  ): Promise<T> {
    const installed = await this.options.store.choose(choice, role);
    const entry = await this.entryFor(installed, options);
    if (entry.stale) return this.use(choice, role, action, options);
    entry.roles.add(role);
    entry.users += 1;
    try {
      return await action(entry.handle);
    } finally {
      await this.release(entry);
    }
  }

  private async release(entry: Entry): Promise<void> {
    entry.users -= 1;
    entry.lastUsed = Date.now();
    if (entry.stale && entry.users === 0) await this.close(entry);
  }

  /** Loads a model and says where it lies. */
  async load(choice: ModelChoice, role: ModelRole, options: UseOptions = {}): Promise<LoadedModel> {
    await this.use(choice, role, () => Promise.resolve(), options);
    const { path } = await this.options.store.choose(choice, role);
    const entry = this.entries.get(keyOf(path));
    if (!entry) throw new EngineError("CLOSED", `${path} was unloaded at once; try again.`);
    return describe(entry);
  }

  loaded(): LoadedModel[] {
    return [...this.entries.values()].map(describe);
  }

  loading(): { ref: ModelRef; fraction: number }[] {
    return [...this.loads.values()].map(({ ref, fraction }) => ({ ref, fraction }));
  }

  /** Gives the memory of one model, or of all, back; a model in use goes as soon as its requests have ended. */
  unload(ref?: ModelRef): Promise<{ freedBytes: number }> {
    for (const loading of this.loads.values()) {
      if (ref === undefined || loading.ref === ref) loading.outdated = true;
    }
    return this.unloadEntries(ref);
  }

  private async unloadEntries(ref?: ModelRef): Promise<{ freedBytes: number }> {
    let freedBytes = 0;
    for (const entry of [...this.entries.values()]) {
      if (ref !== undefined && entry.installed.ref !== ref) continue;
      entry.stale = true;
      if (entry.users > 0) continue;
      const { hostBytes, deviceBytes } = entry.handle.model.placement;
      freedBytes += hostBytes + deviceBytes;
      await this.close(entry);
    }
    return { freedBytes };
  }

  /** Unloads what nobody has used for the time of the setting. */
  async unloadIdle(now: number): Promise<void> {
    const { idleUnloadMinutes } = this.options.settings();
    if (idleUnloadMinutes === 0) return;
    for (const entry of [...this.entries.values()]) {
      const idle = entry.users === 0 && now - entry.lastUsed >= idleUnloadMinutes * 60_000;
      if (!idle) continue;
      this.options.log(`unloading ${entry.installed.ref}: idle for ${String(idleUnloadMinutes)} minutes`);
      await this.close(entry);
    }
  }

  private async entryFor(installed: InstalledModel, { signal, onProgress }: UseOptions): Promise<Entry> {
    const key = keyOf(installed.path);
    const present = this.entries.get(key);
    if (present && !present.stale) return present;
    const loading = this.loads.get(key) ?? this.begin(installed, key);
    if (onProgress) loading.listeners.add(onProgress);
    loading.waiting += 1;
    try {
      return await unlessAborted(signal, () => loading.entry);
    } finally {
      loading.waiting -= 1;
      if (signal?.aborted && loading.waiting === 0) this.cancel(key, loading);
    }
  }

  private begin(installed: InstalledModel, key: string): Loading {
    const loading: Loading = {
      ref: installed.ref,
      fraction: 0,
      listeners: new Set(),
      waiting: 0,
      cancellation: new (this.options.runtime().addon.Cancellation)(),
      outdated: false,
      entry: Promise.resolve().then(() => this.finish(installed, key, loading)),
    };
    this.loads.set(key, loading);
    this.options.onChanged();
    return loading;
  }

  private cancel(key: string, loading: Loading): void {
    loading.cancellation.cancel();
    // Who asks from now on gets a load of its own.
    if (this.loads.get(key) === loading) this.loads.delete(key);
    this.options.onChanged();
  }

  private async finish(installed: InstalledModel, key: string, loading: Loading): Promise<Entry> {
    try {
      const model = await this.loadUpToDate(installed, loading);
      const { addon, engine } = this.options.runtime();
      const handle = new NativeModelHandle(addon, model, installed.ref, {
        threads: this.options.settings().threads,
        maxSessions: sessionsPerModel,
        mayGrow: () => hasRoomForSession(engine, model.placement),
      });
      const entry = { installed, roles: new Set<ModelRole>(), handle, users: 0, lastUsed: Date.now(), stale: false };
      this.entries.set(key, entry);
      this.options.log(`loaded ${installed.ref}: ${model.placement.explanation.join(" ")}`);
      return entry;
    } finally {
      if (this.loads.get(key) === loading) this.loads.delete(key);
      this.options.onChanged();
    }
  }

  private async loadUpToDate(installed: InstalledModel, loading: Loading): Promise<NativeModel> {
    for (;;) {
      loading.outdated = false;
      const model = await this.loadSmallerIfNeeded(installed, loading);
      if (!isOutdated(loading)) return model;
      await model.close();
    }
  }

  /** Short of memory, unloads what is idle first and then halves the context. */
  private async loadSmallerIfNeeded(installed: InstalledModel, loading: Loading): Promise<NativeModel> {
    let contextLength = this.options.settings().contextLength || DEFAULT_CONTEXT_LENGTH;
    let mayUnload = true;
    for (;;) {
      try {
        return await this.loadNative(installed, loading, contextLength);
      } catch (thrown) {
        const error = toEngineError(thrown);
        if (error.code === "CONTEXT_TOO_LONG" && contextLength > shortestContextLength) {
          contextLength = Math.floor(contextLength / 2);
        } else if (error.code !== "OUT_OF_MEMORY") {
          throw error;
        } else if (mayUnload && this.entries.size > 0) {
          mayUnload = false;
          await this.unloadEntries();
        } else if (contextLength > shortestContextLength) {
          contextLength = Math.floor(contextLength / 2);
        } else {
          throw error;
        }
        this.options.log(`${installed.ref}: ${error.message} Trying a context of ${String(contextLength)} tokens.`);
      }
    }
  }

  private async loadNative(installed: InstalledModel, loading: Loading, contextLength: number): Promise<NativeModel> {
    const { vramLimitMiB, gpu, threads } = this.options.settings();
    const model = await this.options.runtime().engine.loadModel({
      path: installed.path,
      contextLength,
      gpu,
      threads,
      vramLimitBytes: vramLimitMiB * 2 ** 20,
      cancellation: loading.cancellation,
      onProgress: (fraction) => {
        this.report(loading, fraction);
      },
    });
    if (!model) {
      throw loading.cancellation.cancelled
        ? new EngineError("CANCELLED", `Loading ${installed.name} was cancelled.`)
        : new EngineError("CLOSED", "The engine is shutting down.");
    }
    return model;
  }

  private report(loading: Loading, fraction: number): void {
    loading.fraction = fraction;
    for (const listener of loading.listeners) listener(fraction);
    this.options.onChanged();
  }

  private async close(entry: Entry): Promise<void> {
    const key = keyOf(entry.installed.path);
    if (this.entries.get(key) === entry) this.entries.delete(key);
    await entry.handle.model.close();
    this.options.onChanged();
  }
}

/** Read anew: settings may change while a model loads. */
function isOutdated({ outdated }: Loading): boolean {
  return outdated;
}

/** The same file is loaded once, whatever name it was asked for by. */
function keyOf(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}

/** Whether the KV cache of one more session fits into what is free, wherever the layers lie. */
function hasRoomForSession(engine: NativeEngine, { device, layers, deviceLayers, kvBytes }: NativePlacement): boolean {
  const onDevice = (kvBytes * deviceLayers) / layers;
  if (kvBytes - onDevice + sessionMarginBytes > engine.memory().availableBytes) return false;
  if (deviceLayers === 0) return true;
  const free = engine.devices().find(({ name }) => name === device)?.memoryFree ?? 0;
  return onDevice + sessionMarginBytes <= free;
}

function describe({ installed, roles, handle }: Entry): LoadedModel {
  return {
    ref: installed.ref,
    name: installed.name,
    path: installed.path,
    roles: [...roles],
    sizeBytes: handle.info.sizeBytes,
    placement: handle.model.placement,
    sessions: handle.sessions,
  };
}
