import { freemem, totalmem } from "node:os";
import { join, resolve } from "node:path";
import { ArchiveInstaller } from "../archive/install_archive";
import { AwakeClock } from "../awake_clock";
import { answerChat, countChatTokens, prefillChat } from "../chat/answer_chat";
import { completeCode, prefillCompletion } from "../completion/complete_code";
import { catalogue } from "../models/catalogue";
import { createModelStore, type LocalModelStore } from "../models/local_model_store";
import type { NativeEngine } from "../native/addon";
import { loadAddon } from "../native/load_addon";
import { enginePaths, modelsDirectory } from "../paths";
import { Quantiser } from "../quantise/quantiser";
import { workerRunner } from "../quantise/run_worker";
import type { Handlers } from "../ipc/rpc";
import { DEFAULT_ENGINE_SETTINGS, type EngineSettings } from "../../shared/engine_settings";
import type { EngineStatus, LoadedModel } from "../../shared/engine_status";
import { EngineError } from "../../shared/errors";
import type { ModelChoice, ModelRole, ModelState } from "../../shared/models";
import type { Introduction } from "../../shared/protocol";
import { AheadBudget } from "./ahead_budget";
import { completionTime, prefillTime, type AheadLimits } from "./ahead_limits";
import { checkMachine } from "./check_machine";
import { createEnginePacks, type EnginePacks } from "./engine_packs";
import type { ModelHandle } from "./model_handle";
import { ModelManager, type NativeRuntime } from "./model_manager";
import { runSelfTest } from "./self_test";
import { suggestionChecks } from "./suggestion_checks";

export interface EngineServiceOptions {
  extensionRoot: string;
  hostVersion: string;
  log: (line: string) => void;
  /** Number of connected clients. */
  clients: () => number;
  onStatusChanged: (status: EngineStatus) => void;
  onModelsChanged: (models: ModelState[]) => void;
  /** A client asked to end the host. */
  onShutdown: () => void;
  /** A graphics card failed to compute, and will go on doing so in this process. Called after every such request. */
  onDeviceFailed: (message: string) => void;
  /** The system's clock, in milliseconds. Default: the time of day. */
  clock?: () => number;
}

/** Notifications are bundled over this time, because a loading model reports many times a second. */
const notificationDelayMs = 200;

/** Of models in use. Asking driver and system took 0.7 ms for a card (Mesa, on the processor). */
const spillCheckMs = 3_000;

/** Of everything else; a multiple of that. */
const idleCheckMs = 30_000;

/** Asking a battery takes time. */
const powerMs = 10_000;

/** Everything the host does for its clients, one handler for every method of the protocol but the introduction. */
export class EngineService {
  private settings: EngineSettings = DEFAULT_ENGINE_SETTINGS;
  private native: NativeRuntime | null = null;
  private readonly store: LocalModelStore;
  private readonly packs: EnginePacks;
  private readonly archives: ArchiveInstaller;
  private readonly models: ModelManager;
  private readonly quantiser: Quantiser;
  private readonly budgets = { fast: new AheadBudget(performance.now()), main: new AheadBudget(performance.now()) };
  private power = { readAt: -Infinity, isSaved: false };
  /** What nobody used while the machine slept was not idle: who wakes it up goes on working. */
  private readonly clock: AwakeClock;
  private readonly idleCheck: NodeJS.Timeout;
  private statusTimer: NodeJS.Timeout | null = null;
  private modelsTimer: NodeJS.Timeout | null = null;
  private isClosed = false;

  constructor(private readonly options: EngineServiceOptions) {
    this.clock = new AwakeClock(options.clock);
    this.store = createModelStore({ ...this.storeSettings(), totalMemoryBytes: totalmem(), log: options.log });
    this.packs = createEnginePacks({
      version: options.hostVersion,
      settings: () => this.settings,
      log: options.log,
      onChanged: () => {
        this.announceStatus();
      },
    });
    this.archives = new ArchiveInstaller({
      version: options.hostVersion,
      platform: `${process.platform}-${process.arch}`,
      updates: join(enginePaths().cache, "update"),
      catalogue,
      models: this.store,
      packs: this.packs,
      log: options.log,
    });
    this.models = new ModelManager({
      runtime: () => this.runtime(),
      store: this.store,
      settings: () => this.settings,
      log: options.log,
      onChanged: () => {
        this.announceStatus();
      },
      // Behind the answer that says so.
      onDeviceFailed: (message) => {
        setImmediate(options.onDeviceFailed, message);
      },
      now: () => this.clock.now(),
    });
    this.quantiser = new Quantiser({
      modelsDirectory: () => this.storeSettings().modelsDirectory,
      catalogueFiles: catalogue.map(({ file }) => file),
      runWorker: workerRunner({
        script: resolve(options.extensionRoot, "dist", "quantise_worker.cjs"),
        extensionRoot: options.extensionRoot,
        log: options.log,
      }),
      log: options.log,
      threads: () => this.settings.threads,
      unload: (path) => this.models.unloadUnused(path),
    });
    this.store.onChanged(() => {
      this.announceModels();
    });
    let passedMs = 0;
    this.idleCheck = setInterval(() => {
      passedMs += spillCheckMs;
      const isDue = passedMs % idleCheckMs === 0;
      if (isDue) this.packs.settle(this.models.loaded());
      const now = this.clock.now();
      const looking = isDue ? this.models.giveBack(now) : this.models.lookForSpills(now);
      looking.catch((thrown: unknown) => {
        options.log(`giving memory back failed: ${String(thrown)}`);
      });
      void this.models.measureAhead(now, () => this.mayComputeAhead());
    }, spillCheckMs);
  }

  /** Takes settings over. What changes the placement of models gives their memory back; they load again on demand. */
  async configure(given: Partial<EngineSettings>): Promise<void> {
    const before = this.settings;
    const settings = { ...before, ...checkSettings(given) };
    this.settings = settings;
    this.store.update(this.storeSettings());
    this.quantiser.tidy();
    await this.packs.ready;
    if (placementOf(before) !== placementOf(settings)) await this.models.reload();
  }

  handlers(): Omit<Handlers, Introduction> {
    const { models, store } = this;
    return {
      "engine/configure": async (settings) => {
        await this.configure(settings);
        return null;
      },
      "engine/status": ({ startEngine }) => {
        if (startEngine) this.runtime();
        return Promise.resolve(this.status());
      },
      "engine/selfTest": ({ models: choices = {} }, { signal, progress }) => {
        const backends = () => this.status().backends;
        return runSelfTest({ runtime: () => this.runtime(), backends, models, choices, signal, onStep: progress });
      },
      "engine/checkMachine": (_, { signal, progress }) => {
        this.runtime();
        return checkMachine({
          status: () => this.status(),
          packs: () => this.packs.report(),
          settings: this.settings,
          store,
          models,
          modelsDirectory: modelsDirectory(this.settings.modelsDirectory),
          catalogue,
          cacheDirectory: join(enginePaths().cache, "outlines"),
          signal,
          onModel: progress,
        });
      },
      "engine/unload": ({ model }) => models.unload(model),
      "engine/shutdown": () => {
        this.packs.restart();
        setImmediate(this.options.onShutdown);
        return Promise.resolve(null);
      },
      "packs/list": () => this.packs.report(),
      "packs/install": async ({ pack }, { signal, progress }) => {
        await this.packs.install(pack, { signal, onProgress: progress });
        return { needsRestart: this.native !== null };
      },
      "packs/installFile": async ({ path }, { signal, progress }) => {
        await this.packs.installFile(path, { signal, onProgress: progress });
        return { needsRestart: this.native !== null };
      },
      "archive/install": async ({ path }, { signal, progress }) => {
        const result = await this.archives.install(path, { signal, onProgress: progress });
        // Perhaps installed by an earlier try that was cancelled behind the pack.
        const hasPack = [...result.installed, ...result.present].some(({ kind }) => kind === "pack");
        return { ...result, needsRestart: hasPack && this.native !== null && this.packs.isNews };
      },
      "packs/remove": async ({ pack }) => {
        await this.packs.remove(pack);
        return { needsRestart: this.native !== null };
      },
      "models/list": () => store.list(),
      "models/download": async ({ model }, { signal, progress }) => ({
        path: await store.download(model, { signal, onProgress: progress }),
      }),
      "models/installFile": async ({ path }, { signal, progress }) => ({
        path: await store.installFile(path, { signal, onProgress: progress }),
      }),
      "models/planQuantise": ({ path }, { signal }) => this.quantiser.plan(path, signal),
      "models/quantise": async (params, { signal, progress }) => {
        const running = this.quantiser.quantise(params, { signal, onProgress: progress });
        this.announceStatus();
        const result = await running.finally(() => {
          this.announceStatus();
        });
        this.announceModels();
        return result;
      },
      "models/pause": async ({ model }) => {
        await store.pause(model);
        return null;
      },
      "models/remove": async ({ model }) => {
        await models.unloadUnused(model);
        await store.remove(model);
        return null;
      },
      "models/load": ({ model, role }, { signal, progress }) =>
        models.load(model, role, { signal, onProgress: progress }),
      "completion/prefill": (params, { signal }) =>
        this.ahead(
          params.model,
          "fast",
          { signal, mayLoad: params.load, isIdle: !params.load },
          (model, signal) => prefillCompletion(model, params, { signal }),
          prefillTime,
        ),
      "completion/ahead": (params, { signal }) =>
        this.ahead(
          params.model,
          "fast",
          { signal, mayLoad: false, isIdle: true },
          async (model, signal) => ({
            ...(await completeCode(model, params, { signal, priority: "warm" })),
            model: model.ref,
          }),
          completionTime,
        ),
      ...suggestionChecks({
        store,
        loadedModel: (choice, role) => this.loadedModel(choice, role),
        ahead: (choice, role, limits, compute, timeOf) => this.ahead(choice, role, limits, compute, timeOf),
      }),
      "completion/complete": (params, { signal, progress }) =>
        models.use(
          params.model,
          "fast",
          async (model) => ({
            ...(await completeCode(model, params, { signal, onText: progress })),
            model: model.ref,
          }),
          { signal },
        ),
      "chat/generate": (params, { signal, progress }) =>
        models.use(
          params.model,
          "main",
          async (model) => ({
            ...(await answerChat(model, params, { signal, onText: progress })),
            model: model.ref,
          }),
          { signal },
        ),
      "chat/prefill": (params, { signal }) =>
        this.ahead(
          params.model,
          "main",
          { signal, mayLoad: false, isIdle: !params.wake },
          (model, signal) => prefillChat(model, params, { signal }),
          prefillTime,
        ),
      "chat/countTokens": (params, { signal }) =>
        models.use(
          params.model,
          "main",
          async (model) => ({ ...(await countChatTokens(model, params.messages)), model: model.ref }),
          { signal },
        ),
    };
  }

  /** Computes ahead if that is allowed now; ends it when the time for it is used up. `timeOf` says what it took, in ms. */
  private async ahead<T extends object>(
    choice: ModelChoice,
    role: ModelRole,
    { signal, mayLoad, isIdle, budget = this.budgets[role] }: AheadLimits,
    compute: (model: ModelHandle, signal: AbortSignal) => Promise<T | null>,
    timeOf: (result: T) => number,
  ): Promise<T | null> {
    const left = budget.left(performance.now());
    if (left === 0 || !this.mayComputeAhead()) return null;
    if (!mayLoad) {
      const model = await this.loadedModel(choice, role);
      // One that gave memory back is left in peace unless somebody is at it.
      if (!model || (isIdle && model.awayBytes > 0)) return null;
    }
    const work = async (model: ModelHandle) => {
      // A model that was loaded for this may be the first that there is an engine for.
      if (!this.mayComputeAhead()) return null;
      return compute(model, AbortSignal.any([signal, AbortSignal.timeout(Math.ceil(left))]));
    };
    const result = await this.models.use(choice, role, work, { signal, isIdle, isAhead: true });
    budget.spend(result ? timeOf(result) : 0);
    return result;
  }

  private mayComputeAhead(): boolean {
    const { computeAhead } = this.settings;
    if (computeAhead !== "auto") return computeAhead === "always";
    const now = performance.now();
    const engine = this.native?.engine;
    // Before there is an engine nobody can say, and it is asked again once there is.
    if (engine && now - this.power.readAt > powerMs) this.power = { readAt: now, isSaved: engine.savesEnergy() };
    return !this.power.isSaved;
  }

  /** Asking the store what `auto` means loads nothing, but fails where no model is installed. */
  private async loadedModel(choice: ModelChoice, role: ModelRole): Promise<LoadedModel | undefined> {
    const chosen = await this.store.choose(choice, role).catch(() => null);
    return chosen ? this.models.ready(chosen.ref, role) : undefined;
  }

  /** Loads nothing: what the native engine knows is left out until a request has needed it. */
  private status(): EngineStatus {
    const engine = this.native?.engine;
    const { totalBytes, availableBytes, processBytes } = engine?.memory() ?? ownMemory();
    const backends = engine?.backends() ?? [];
    return {
      hostPid: process.pid,
      hostVersion: this.options.hostVersion,
      library: engine ? `llama.cpp ${engine.libraryVersion}` : "",
      clients: this.options.clients(),
      devices: engine?.devices() ?? [],
      backends: this.packs.status(backends),
      preparing: this.packs.preparing(backends),
      quantising: this.quantiser.isRunning,
      memory: { totalBytes, availableBytes, hostProcessBytes: processBytes },
      models: this.models.loaded(),
      loading: this.models.loading(),
    };
  }

  /** Frees everything the addon holds. `isFailure`: because a card failed. Does not resolve while a driver hangs. */
  async close({ isFailure = false } = {}): Promise<void> {
    this.isClosed = true;
    clearInterval(this.idleCheck);
    if (this.statusTimer) clearTimeout(this.statusTimer);
    if (this.modelsTimer) clearTimeout(this.modelsTimer);
    // First, because the engine may be stuck in a driver that compiles until the process is killed.
    this.packs.close({ isFailure, models: this.models.loaded() });
    await Promise.all([this.quantiser.close(), this.native?.engine.close()]);
  }

  private runtime(): NativeRuntime {
    if (this.native) return this.native;
    // A backend that is tried now would never get to prove itself.
    if (this.isClosed) throw new EngineError("CLOSED", "The engine host is ending.");
    const { addon, libraryDirectory } = loadAddon(this.options.extensionRoot);
    const packs = this.packs.forEngine();
    const leftOut = this.packs.leftOut();
    try {
      const engine = new addon.Engine({
        libraryDirectory,
        cacheDirectory: enginePaths().cache,
        packs,
        leftOut,
        onLog: (level, text) => {
          if (level !== "debug") this.options.log(`${level}: ${text}`);
        },
      });
      this.native = { addon, engine };
    } catch (thrown) {
      this.packs.close();
      throw thrown;
    }
    this.packs.made(this.native.engine.devices());
    return this.native;
  }

  private storeSettings() {
    const { modelsDirectory: setting, proxy, noProxy, mirror } = this.settings;
    return { modelsDirectory: modelsDirectory(setting), proxy, noProxy, mirror };
  }

  /** Tells every client the status, soon. */
  announceStatus(): void {
    // A search for cards, too, may end after the engine, which tells nothing more then.
    if (this.isClosed) return;
    this.statusTimer ??= setTimeout(() => {
      this.statusTimer = null;
      this.packs.settle(this.models.loaded());
      this.options.onStatusChanged(this.status());
    }, notificationDelayMs);
  }

  private announceModels(): void {
    this.modelsTimer ??= setTimeout(() => {
      this.modelsTimer = null;
      this.store.list().then(this.options.onModelsChanged, (thrown: unknown) => {
        this.options.log(`listing the models failed: ${String(thrown)}`);
      });
    }, notificationDelayMs);
  }
}

/** As Node sees it, without the native engine. */
function ownMemory(): ReturnType<NativeEngine["memory"]> {
  return { totalBytes: totalmem(), availableBytes: freemem(), processBytes: process.memoryUsage.rss() };
}

/** Settings that differ in this are of no use to a model that is loaded. */
function placementOf({ vramLimitMiB, gpu, threads, contextLength, kvCacheType, speculation }: EngineSettings): string {
  return JSON.stringify([vramLimitMiB, gpu, threads, contextLength, kvCacheType, speculation === "exact"]);
}

/** Refuses settings of a wrong shape before they reach the engine. */
function checkSettings(settings: Partial<EngineSettings>): Partial<EngineSettings> {
  for (const [key, standard] of Object.entries(DEFAULT_ENGINE_SETTINGS)) {
    if (!(key in settings)) continue;
    const value: unknown = settings[key as keyof EngineSettings];
    if (typeof value === typeof standard && (typeof value !== "number" || (Number.isFinite(value) && value >= 0)))
      continue;
    throw new EngineError(
      "INVALID_ARGUMENT",
      `Expected the setting ${key} to be a ${typeof standard}${typeof standard === "number" ? " of 0 or more" : ""}, got ${JSON.stringify(value)}.`,
    );
  }
  return settings;
}
