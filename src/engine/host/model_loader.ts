import { DEFAULT_CONTEXT_LENGTH, type EngineSettings } from "../../shared/engine_settings";
import { EngineError, toEngineError } from "../../shared/errors";
import type { ModelChoice, ModelRole } from "../../shared/models";
import type { InstalledModel, ModelStore } from "../models/model_store";
import type { NativeCancellation, NativeModel, NativePlacement, PlanModelOptions, PlanOptions } from "../native/addon";
import type { NativeRuntime } from "./model_manager";

export interface ModelLoaderOptions {
  runtime: () => NativeRuntime;
  store: ModelStore;
  settings: () => EngineSettings;
  log: (line: string) => void;
  /** Of the graphics memory that the setting allows, what the models that are loaded have, by the card's name. */
  vramUsedBytes: () => Record<string, number>;
  /** Bytes of single cards that the model in a file may take, because the system moved memory of it to RAM; by the card's name. */
  spillLimits: (path: string) => Readonly<Record<string, number>>;
  /** What ghost text asks for. */
  fastChoice: () => ModelChoice;
  /** Unloads what nobody uses; false when there is nothing. */
  unloadIdle: () => Promise<boolean>;
}

export interface LoadTask {
  installed: InstalledModel;
  roles: ReadonlySet<ModelRole>;
  /** Asked for in tokens; the model may get a shorter one. */
  contextLength: number;
  /** Whether the model in a file is loaded, or is this one. */
  isThere: (path: string) => boolean;
  /** Nothing is given up for it. */
  isSpare: () => boolean;
  cancellation: NativeCancellation;
  onProgress: (fraction: number) => void;
}

const shortestContextLength = 1024;

/** Loads one model at a time, as the settings and the memory of the machine allow. */
export class ModelLoader {
  private reserved = 0;

  constructor(private readonly options: ModelLoaderOptions) {}

  /** Graphics memory that the last model left free for that of ghost text. */
  get reservedBytes(): number {
    return this.reserved;
  }

  /** Short of memory, unloads what is idle first and then halves the context. */
  async load(task: LoadTask): Promise<NativeModel> {
    const { installed } = task;
    let { contextLength } = task;
    let mayUnload = true;
    for (;;) {
      try {
        return await this.loadNative({ ...task, contextLength });
      } catch (thrown) {
        const error = toEngineError(thrown);
        if (task.cancellation.cancelled) throw error;
        if (error.code === "CONTEXT_TOO_LONG" && contextLength > shortestContextLength) {
          contextLength = Math.floor(contextLength / 2);
        } else if (error.code !== "OUT_OF_MEMORY" || task.isSpare()) {
          throw error;
        } else if (mayUnload && (await this.options.unloadIdle())) {
          mayUnload = false;
        } else if (contextLength > shortestContextLength) {
          contextLength = Math.floor(contextLength / 2);
        } else {
          throw error;
        }
        this.options.log(`${installed.ref}: ${error.message} Trying a context of ${String(contextLength)} tokens.`);
      }
    }
  }

  /** Where a model would go if it were loaded now, with the time of its passes. Fails as loading it would. */
  async forecast(task: Pick<LoadTask, "installed" | "roles" | "contextLength" | "isThere">): Promise<NativePlacement> {
    const vramReservedBytes = await this.forGhostText(task);
    return this.plan(task.installed, task.contextLength, { vramReservedBytes, forecast: true });
  }

  /** Has the cards measured that a model would be divided by, unless they are known; false where that has nothing to do. */
  async measureFor(task: Pick<LoadTask, "installed" | "roles" | "contextLength" | "isThere">): Promise<boolean> {
    const vramReservedBytes = await this.forGhostText(task);
    const placement = await this.plan(task.installed, task.contextLength, { vramReservedBytes });
    const { cards, deviceLayers, layers, predictedPasses } = placement;
    const devices = this.options.runtime().engine.devices();
    // A part of it on integrated graphics is a whole number of layers, however fast those are.
    const isOnCard = cards.some(({ device }) => devices.some(({ name, kind }) => name === device && kind === "gpu"));
    if (!isOnCard || deviceLayers === layers || predictedPasses.length > 0) return false;
    await this.plan(task.installed, task.contextLength, { vramReservedBytes, forecast: true });
    return true;
  }

  private async loadNative(task: LoadTask): Promise<NativeModel> {
    const { installed, contextLength, cancellation, onProgress } = task;
    const vramReservedBytes = await this.forGhostText(task);
    const model = await this.options.runtime().engine.loadModel({
      ...this.planOptions(installed, contextLength),
      vramReservedBytes,
      cancellation,
      onProgress,
    });
    if (model && !cancellation.cancelled) {
      this.reserved = vramReservedBytes;
      return model;
    }
    // Cancelled in its last moment, or by an unload.
    await model?.close();
    throw cancellation.cancelled
      ? new EngineError("CANCELLED", `Loading ${installed.name} was cancelled.`)
      : new EngineError("CLOSED", "The engine is shutting down.");
  }

  private planOptions({ path }: InstalledModel, contextLength: number): PlanOptions {
    const { settings, vramUsedBytes, spillLimits } = this.options;
    const { gpu, threads, kvCacheType, speculation, vramLimitMiB } = settings();
    return {
      path,
      contextLength,
      gpu,
      threads,
      kvCacheType,
      vramLimitBytes: vramLimitMiB * 2 ** 20,
      vramUsedBytes: vramUsedBytes(),
      vramGrantedBytes: spillLimits(path),
      exactPasses: speculation === "exact",
    };
  }

  /**
   * What the model of ghost text will take of the card, where another one is loaded before it: it has to be quick, while
   * an answer may take its time.
   */
  private async forGhostText({ roles, isThere }: Pick<LoadTask, "roles" | "isThere">): Promise<number> {
    const { store, settings, fastChoice, log } = this.options;
    if (roles.has("fast") || settings().gpu === "off") return 0;
    try {
      const fast = await store.choose(fastChoice(), "fast");
      if (isThere(fast.path)) return 0;
      const { deviceBytes } = await this.plan(fast, DEFAULT_CONTEXT_LENGTH);
      return deviceBytes;
    } catch (thrown) {
      log(`no graphics memory is kept for ghost text: ${toEngineError(thrown).message}`);
      return 0;
    }
  }

  /** With a shorter context where the model was trained for less. */
  private async plan(
    installed: InstalledModel,
    contextLength: number,
    options: Pick<PlanModelOptions, "vramReservedBytes" | "forecast"> = {},
  ): Promise<NativePlacement> {
    try {
      const { engine } = this.options.runtime();
      return await engine.planModel({ ...this.planOptions(installed, contextLength), ...options });
    } catch (thrown) {
      if (toEngineError(thrown).code !== "CONTEXT_TOO_LONG" || contextLength <= shortestContextLength) throw thrown;
      return this.plan(installed, Math.floor(contextLength / 2), options);
    }
  }
}
