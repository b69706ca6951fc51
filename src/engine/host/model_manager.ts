import { DEFAULT_CONTEXT_LENGTH, type EngineSettings } from "../../shared/engine_settings";
import type { LoadedModel } from "../../shared/engine_status";
import { EngineError, toEngineError } from "../../shared/errors";
import type { ModelChoice, ModelRef, ModelRole } from "../../shared/models";
import type { InstalledModel, ModelStore } from "../models/model_store";
import type { NativeActivity, NativeAddon, NativeDevice, NativeEngine, NativePlacement } from "../native/addon";
import { throwIfAborted, unlessAborted } from "../unless_aborted";
import { DraftModels } from "./draft_models";
import { DraftSession } from "./draft_session";
import { fileKey } from "./file_key";
import { GraphicsMemory } from "./graphics_memory";
import { MeasureAhead } from "./measure_ahead";
import { MemoryRelief } from "./memory_relief";
import { describe, holdsCard, isPartly, placementOf, plannedFor, type ModelEntry } from "./model_entry";
import { ModelLoader } from "./model_loader";
import { ModelLoads, type LoadedAs, type WaitOptions } from "./model_loads";
import { roomForSessions, sessionBytes, storeBytes } from "./model_memory";
import { NativeModelHandle } from "./native_model_handle";
import { SpillRelief } from "./spill_relief";
import { wakeModel } from "./wake_model";

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
  /** Called when a graphics card has failed to compute: it does so again until the process ends. */
  onDeviceFailed?: (message: string) => void;
  /** Milliseconds of a clock that idle times are told by. Default: the time of day. */
  now?: () => number;
}

export interface UseOptions extends WaitOptions {
  /** Nobody is at it: it counts as no use, so that an idle model still gives its memory back, and brings none back. */
  isIdle?: boolean;
  /** Nobody asks yet, but is about to: what the system may have put away is read in before. */
  isAhead?: boolean;
}

/** One for ghost text and two conversations keep their caches at the same time. */
const sessionsPerModel = 3;

/** Keeps the models that are in use in memory: loads on demand, once for all requests, and gives memory back. */
export class ModelManager {
  /** Every model in memory; of one file at most one is not stale. */
  private readonly entries = new Set<ModelEntry>();
  private readonly loads: ModelLoads;
  private readonly loader: ModelLoader;
  private readonly drafts: DraftModels;
  private readonly spills: SpillRelief;
  private readonly relief: MemoryRelief;
  private readonly measuring: MeasureAhead;
  /** What was asked for last: by ghost text, and by everything else. */
  private fastChoice: ModelChoice = "auto";
  private mainChoice: ModelChoice = "auto";

  constructor(private readonly options: ModelManagerOptions) {
    this.loader = new ModelLoader({
      ...options,
      vramUsedBytes: () => this.vramUsedBytes(),
      spillLimits: (path) => this.spills.limitsFor(fileKey(path)),
      fastChoice: () => this.fastChoice,
      unloadIdle: () => this.unloadIdle(),
    });
    this.loads = new ModelLoads({
      cancellation: () => new (options.runtime().addon.Cancellation)(),
      contextFor: (roles) => this.contextFor(roles),
      load: (key, task) => this.loader.load({ ...task, isThere: (path) => this.isThere(key, path) }),
      isBesideStale: () => [...this.entries].some(holdsCard),
      keep: (loaded) => this.keep(loaded),
      onBegun: () => {
        // It would wait for a filling to end.
        for (const { graphics } of this.entries) graphics.stopFilling();
        options.onChanged();
      },
      onEnded: () => {
        for (const { graphics } of this.entries) graphics.fill();
        options.onChanged();
      },
      onChanged: options.onChanged,
    });
    this.spills = new SpillRelief({
      ...options,
      now: () => this.now(),
      reload: (entry) => this.retire([entry]),
      isCard: (device) => this.devices().some(({ name, kind }) => name === device && kind === "gpu"),
    });
    this.relief = new MemoryRelief({
      ...options,
      entries: this.entries,
      spills: this.spills,
      devices: () => this.devices(),
      close: (entry) => this.close(entry),
    });
    this.measuring = new MeasureAhead({
      ...options,
      entries: this.entries,
      choose: () => options.store.choose(this.mainChoice, "main"),
      measure: (installed, key) => this.loader.measureFor(this.asMain(installed, key)),
    });
    this.drafts = new DraftModels({
      ...options,
      now: () => this.now(),
      entries: this.entries,
      choose: () => options.store.choose(this.fastChoice, "fast"),
      load: () => this.load(this.fastChoice, "fast", { isIdle: true, isSpare: true }),
    });
  }

  /** Runs `action` with a model that stays loaded meanwhile. */
  use<T>(
    choice: ModelChoice,
    role: ModelRole,
    action: (handle: NativeModelHandle) => Promise<T>,
    options: UseOptions = {},
  ): Promise<T> {
    return this.useEntry(choice, role, ({ handle }) => action(handle), options);
  }

  /** Loads a model and says where it lies. */
  load(choice: ModelChoice, role: ModelRole, options: UseOptions = {}): Promise<LoadedModel> {
    return this.useEntry(choice, role, (entry) => Promise.resolve(this.describe(entry)), options);
  }

  /** Where a model lies, or would lie if it were loaded for the chat now. Fails as loading it would. */
  async forecast(
    installed: InstalledModel,
  ): Promise<{ placement: NativePlacement; lastPass: NativeActivity["lastPass"] }> {
    const key = fileKey(installed.path);
    const present = this.present(key);
    if (present) return { placement: placementOf(present), lastPass: present.handle.activity.lastPass };
    return { placement: await this.loader.forecast(this.asMain(installed, key)), lastPass: null };
  }

  /** As if it were loaded for the chat now. */
  private asMain(installed: InstalledModel, key: string) {
    const roles = new Set<ModelRole>(["main"]);
    const isThere = (path: string) => this.isThere(key, path);
    return { installed, roles, contextLength: this.contextFor(roles), isThere };
  }

  private async useEntry<T>(
    choice: ModelChoice,
    role: ModelRole,
    action: (entry: ModelEntry) => Promise<T>,
    options: UseOptions,
  ): Promise<T> {
    if (role === "fast") this.fastChoice = choice;
    else this.mainChoice = choice;
    const installed = await unlessAborted(options.signal, () => this.options.store.choose(choice, role));
    const entry = await this.entryFor(installed, role, options);
    if (entry.stale) return this.useEntry(choice, role, action, options);
    entry.roles.add(role);
    entry.users += 1;
    try {
      const { isIdle, isAhead } = options;
      if (!isIdle) wakeModel(entry, { role, isAhead, now: this.now(), entries: this.entries });
      return await action(entry);
    } catch (thrown) {
      const { code, message } = toEngineError(thrown);
      if (code === "DEVICE_FAILED") this.options.onDeviceFailed?.(message);
      throw thrown;
    } finally {
      if (!options.isIdle) entry.lastUsed = this.now();
      await this.release(entry);
      void this.spills.check(entry);
    }
  }

  private async release(entry: ModelEntry): Promise<void> {
    entry.users -= 1;
    if (entry.users > 0) return;
    if (entry.stale) await this.close(entry);
    else if (this.mayGoBetter(entry)) await this.closeForBetter(entry);
  }

  /** It was loaded beside models that have left since: loaded anew, more of it would be on the card. */
  private mayGoBetter({ isCrowded }: ModelEntry): boolean {
    return isCrowded && [...this.entries].every(({ stale }) => !stale);
  }

  loaded(): LoadedModel[] {
    return [...this.entries].map((entry) => this.describe(entry));
  }

  private describe(entry: ModelEntry): LoadedModel {
    return describe(entry, this.spills.standing(entry));
  }

  /** Where a model lies that a request in this role would use as it is; undefined: it would be loaded, or loaded anew. */
  ready(ref: ModelRef, role: ModelRole): LoadedModel | undefined {
    const entry = [...this.entries].find(({ installed, stale }) => installed.ref === ref && !stale);
    return entry && this.isFit(entry, role) ? this.describe(entry) : undefined;
  }

  loading(): { ref: ModelRef; fraction: number }[] {
    return this.loads.list();
  }

  /**
   * Gives the memory of one model, or of all, back; a model in use goes as soon as its requests have ended. A load is
   * cancelled: who waits for it gets `CANCELLED`.
   */
  unload(ref?: ModelRef): Promise<{ freedBytes: number }> {
    const isMeant = (other: ModelRef) => ref === undefined || other === ref;
    this.loads.cancelAll(isMeant);
    const entries = [...this.entries].filter(({ installed }) => isMeant(installed.ref));
    for (const { key } of entries) this.spills.forget(key);
    return this.retire(entries);
  }

  /**
   * Gives the memory of a model back whose file is to go: Windows removes no file that is mapped. Throws `MODEL_IN_USE`
   * while a request works with it or waits for it.
   */
  async unloadUnused(ref: ModelRef): Promise<void> {
    // A file may have been loaded by another name.
    const key = fileKey(ref);
    const entries = [...this.entries].filter((entry) => entry.installed.ref === ref || entry.key === key);
    if (this.loads.has(ref, key) || entries.some(({ users }) => users > 0)) {
      throw new EngineError(
        "MODEL_IN_USE",
        `${ref} is in use. Stop the answer or the request that works with it, then remove it.`,
      );
    }
    await this.retire(entries);
  }

  /** Settings have changed: what is loaded goes as soon as nobody uses it, and loads begin again. */
  async reload(): Promise<void> {
    this.loads.restart();
    this.spills.forget();
    this.measuring.forget();
    await this.retire([...this.entries]);
  }

  /** Closes those of them that nobody uses, the others when their last request has ended. */
  private async retire(entries: ModelEntry[]): Promise<{ freedBytes: number }> {
    let freedBytes = 0;
    for (const entry of entries) {
      entry.stale = true;
      if (entry.users > 0) continue;
      const { hostBytes, deviceBytes } = placementOf(entry);
      freedBytes += hostBytes + deviceBytes;
      await this.close(entry);
    }
    return { freedBytes };
  }

  /**
   * To be called now and then: gives back what has been idle for the times of the settings, and what others need. Does
   * nothing while an earlier call is at it.
   */
  giveBack(now: number): Promise<void> {
    return this.relief.look(now);
  }

  /** To be called every few seconds: sees to graphics memory of models in use that the system has moved to RAM. */
  lookForSpills(now: number): Promise<void> {
    return this.relief.lookForSpills(now);
  }

  /** To be called every few seconds: finds out in pauses what the first load of the model for the chat would have to wait for. */
  async measureAhead(now: number, isAllowed: () => boolean): Promise<void> {
    if (this.loads.size === 0) await this.measuring.look(now, isAllowed);
  }

  private devices(): NativeDevice[] {
    return this.options.runtime().engine.devices();
  }

  private now(): number {
    return (this.options.now ?? Date.now)();
  }

  /** False when every model is in use. */
  private async unloadIdle(): Promise<boolean> {
    const idle = [...this.entries].filter(({ users }) => users === 0);
    await this.retire(idle);
    return idle.length > 0;
  }

  private present(key: string): ModelEntry | undefined {
    return [...this.entries].find((entry) => entry.key === key && !entry.stale);
  }

  /** Whether the model in a file is loaded, or is the one with this key. */
  private isThere(key: string, path: string): boolean {
    return fileKey(path) === key || this.present(fileKey(path)) !== undefined;
  }

  private async entryFor(installed: InstalledModel, role: ModelRole, options: UseOptions): Promise<ModelEntry> {
    const key = fileKey(installed.path);
    const present = this.present(key);
    if (present && this.isFit(present, role)) return present;
    if (present) await this.retire([present]);
    throwIfAborted(options.signal);
    return this.loads.wait(installed, key, role, options);
  }

  /** A model that was loaded for ghost text may lack the context that the user has set for the chat. */
  private isFit({ askedContext }: ModelEntry, role: ModelRole): boolean {
    return role === "fast" || askedContext === this.contextFor([role]);
  }

  /** Makes what goes with a model that was loaded, and has it for requests from now on. */
  private keep({ installed, key, model, askedContext, isBesideStale }: LoadedAs): ModelEntry {
    // Read once: it stays the same, and the addon makes it anew each time.
    const { placement } = model;
    const { addon, engine } = this.options.runtime();
    const { ref } = installed;
    const { log, onChanged } = this.options;
    const source = () => this.drafts.sourceFor(entry);
    const isWanted = () => (entry.users > 0 || this.drafts.isGuessing(entry)) && this.loads.size === 0;
    const graphics = new GraphicsMemory({ addon, engine, model, name: ref, isWanted, log, onChanged });
    const draft = new DraftSession({
      main: model,
      source,
      withRoom: (bytesByDevice, create) => graphics.withRoom(bytesByDevice, create),
      takeBack: (session) => {
        graphics.takeBack(session);
      },
      onMissing: () => void this.drafts.loadFor(entry),
      log,
    });
    const handle = new NativeModelHandle(addon, model, ref, {
      threads: this.options.settings().threads,
      maxSessions: sessionsPerModel,
      bytesPerToken: placement.kvBytes / placement.contextLength,
      storeBytes: storeBytes(engine.memory().availableBytes),
      room: () => roomForSessions(placement, engine, this.vramLeft(), this.loader.reservedBytes),
      withRoom: (create) => graphics.withRoom(sessionBytes(placement).byDevice, create),
      takeBack: (session) => {
        graphics.takeBack(session);
      },
      speculation: () => this.options.settings().speculation,
      draft: () => draft.current(),
    });
    const entry: ModelEntry = {
      installed,
      key,
      roles: new Set(),
      handle,
      draft,
      graphics,
      users: 0,
      lastUsed: this.now(),
      askedContext,
      spill: this.spills.of(key),
      draftModelAskedAt: -Infinity,
      stale: false,
      isCrowded: isBesideStale && this.options.settings().gpu !== "off" && isPartly(placement),
    };
    this.entries.add(entry);
    log(`loaded ${ref}: ${placement.explanation.join(" ")}`);
    return entry;
  }

  /** In tokens. The setting is for the chat: ghost text never fills more than the usual context. */
  private contextFor(roles: Iterable<ModelRole>): number {
    const isMain = [...roles].includes("main");
    return (isMain && this.options.settings().contextLength) || DEFAULT_CONTEXT_LENGTH;
  }

  /**
   * Of every card, what the models that are loaded have there. What these gave back is theirs, because it is filled again,
   * but for what they gave to sessions or gave up.
   */
  private vramUsedBytes(): Record<string, number> {
    const used: Record<string, number> = {};
    for (const entry of this.entries) {
      for (const { device, bytes } of plannedFor(entry).cards) {
        used[device] = Math.max(0, (used[device] ?? 0) + bytes - entry.graphics.givenUpOn(device));
      }
    }
    return used;
  }

  /** What the setting still allows of a card beside the models that are loaded. */
  private vramLeft(): (device: string) => number {
    const { vramLimitMiB } = this.options.settings();
    if (vramLimitMiB === 0) return () => Infinity;
    const used = this.vramUsedBytes();
    return (device) => Math.max(0, vramLimitMiB * 2 ** 20 - (used[device] ?? 0));
  }

  private async closeForBetter(entry: ModelEntry): Promise<void> {
    this.options.log(`unloading ${entry.installed.ref}: there is more graphics memory for it now`);
    await this.close(entry);
  }

  private async close(entry: ModelEntry): Promise<void> {
    entry.stale = true;
    this.entries.delete(entry);
    await entry.draft.close();
    await entry.handle.close();
    for (const other of [...this.entries]) {
      if (other.users > 0 || !this.entries.has(other) || !this.mayGoBetter(other)) continue;
      await this.closeForBetter(other);
    }
    this.options.onChanged();
  }
}
