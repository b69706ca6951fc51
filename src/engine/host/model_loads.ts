import type { ModelRef, ModelRole } from "../../shared/models";
import type { InstalledModel } from "../models/model_store";
import type { NativeCancellation, NativeModel } from "../native/addon";
import { unlessAborted } from "../unless_aborted";
import type { ModelEntry } from "./model_entry";
import type { LoadTask } from "./model_loader";

/** A model that was loaded as everybody who waits for it wants it. */
export interface LoadedAs {
  installed: InstalledModel;
  key: string;
  model: NativeModel;
  /** In tokens; the model may have got a shorter one. */
  askedContext: number;
  /** Models that are to go held memory of a card when its load began. */
  isBesideStale: boolean;
}

export interface ModelLoadsOptions {
  cancellation: () => NativeCancellation;
  /** In tokens, for requests in these roles. */
  contextFor: (roles: Iterable<ModelRole>) => number;
  load: (key: string, task: Omit<LoadTask, "isThere">) => Promise<NativeModel>;
  /** Whether models that are to go hold memory of a card. */
  isBesideStale: () => boolean;
  /** Takes ownership of what was loaded, for all requests from now on. */
  keep: (loaded: LoadedAs) => ModelEntry;
  onBegun: () => void;
  /** Called also after a load has failed. */
  onEnded: () => void;
  /** Called after anything `list` reports has changed in between. */
  onChanged: () => void;
}

export interface WaitOptions {
  /** Aborted, the request no longer waits for the model; a load that nobody waits for any more is cancelled. */
  signal?: AbortSignal;
  /** It can do without: no other model and no length of context is given up for it. */
  isSpare?: boolean;
  /** How far the model is loaded, from 0 to 1; not called when it is loaded already. */
  onProgress?: (fraction: number) => void;
}

interface Loading {
  ref: ModelRef;
  roles: Set<ModelRole>;
  fraction: number;
  listeners: Set<(fraction: number) => void>;
  /** Requests that wait for it. */
  waiting: number;
  cancellation: NativeCancellation;
  askedContext: number;
  /** What it was begun with has changed meanwhile: it begins again. */
  outdated: boolean;
  /** Everybody who waits for it can do without. */
  isSpare: boolean;
  entry: Promise<ModelEntry>;
}

/** The loads that are under way, by the key of the file: one for all requests, and one after the other. */
export class ModelLoads {
  private readonly loads = new Map<string, Loading>();
  private turn: Promise<unknown> = Promise.resolve();

  constructor(private readonly options: ModelLoadsOptions) {}

  get size(): number {
    return this.loads.size;
  }

  list(): { ref: ModelRef; fraction: number }[] {
    return [...this.loads.values()].map(({ ref, fraction }) => ({ ref, fraction }));
  }

  /** Whether a file is being loaded, by this or another name. */
  has(ref: ModelRef, key: string): boolean {
    return [...this.loads].some(([itsKey, loading]) => loading.ref === ref || itsKey === key);
  }

  /** Waits for the load of a file, which begins where there is none. */
  async wait(
    installed: InstalledModel,
    key: string,
    role: ModelRole,
    { signal, onProgress, isSpare = false }: WaitOptions,
  ): Promise<ModelEntry> {
    const loading = this.loads.get(key) ?? this.begin(installed, key);
    loading.roles.add(role);
    loading.isSpare &&= isSpare;
    if (loading.askedContext !== this.options.contextFor(loading.roles)) loading.outdated = true;
    if (onProgress) loading.listeners.add(onProgress);
    loading.waiting += 1;
    try {
      return await unlessAborted(signal, () => loading.entry);
    } finally {
      loading.waiting -= 1;
      if (signal?.aborted && loading.waiting === 0) this.cancel(key, loading);
    }
  }

  /** Who waits for them gets `CANCELLED`. */
  cancelAll(isMeant: (ref: ModelRef) => boolean): void {
    for (const [key, loading] of [...this.loads]) {
      if (isMeant(loading.ref)) this.cancel(key, loading);
    }
  }

  /** Has them begin again with the settings of now. */
  restart(): void {
    for (const loading of this.loads.values()) loading.outdated = true;
  }

  private begin(installed: InstalledModel, key: string): Loading {
    const loading: Loading = {
      ref: installed.ref,
      roles: new Set(),
      fraction: 0,
      listeners: new Set(),
      waiting: 0,
      cancellation: this.options.cancellation(),
      askedContext: 0,
      outdated: false,
      isSpare: true,
      entry: this.inTurn(() => this.finish(installed, key, loading)),
    };
    // When everybody who waited has left, nobody is there to be told of a failure.
    loading.entry.catch(() => undefined);
    this.loads.set(key, loading);
    this.options.onBegun();
    return loading;
  }

  /**
   * One load after the other, as the core does it anyway: how much graphics memory one may take is known only when those
   * before it have theirs.
   */
  private inTurn<T>(action: () => Promise<T>): Promise<T> {
    const result = this.turn.then(action);
    this.turn = result.catch(() => undefined);
    return result;
  }

  private cancel(key: string, loading: Loading): void {
    loading.cancellation.cancel();
    // Who asks from now on gets a load of its own.
    this.leave(key, loading);
    this.options.onChanged();
  }

  private leave(key: string, loading: Loading): void {
    if (this.loads.get(key) === loading) this.loads.delete(key);
  }

  private async finish(installed: InstalledModel, key: string, loading: Loading): Promise<ModelEntry> {
    try {
      const isBesideStale = this.options.isBesideStale();
      const model = await this.loadUpToDate(installed, key, loading);
      return this.options.keep({ installed, key, model, askedContext: loading.askedContext, isBesideStale });
    } finally {
      this.leave(key, loading);
      this.options.onEnded();
    }
  }

  private async loadUpToDate(installed: InstalledModel, key: string, loading: Loading): Promise<NativeModel> {
    for (;;) {
      loading.outdated = false;
      loading.askedContext = this.options.contextFor(loading.roles);
      const model = await this.options.load(key, {
        installed,
        roles: loading.roles,
        contextLength: loading.askedContext,
        cancellation: loading.cancellation,
        isSpare: () => loading.isSpare,
        onProgress: (fraction) => {
          this.report(loading, fraction);
        },
      });
      if (!isOutdated(loading)) return model;
      await model.close();
    }
  }

  private report(loading: Loading, fraction: number): void {
    loading.fraction = fraction;
    for (const listener of loading.listeners) listener(fraction);
    this.options.onChanged();
  }
}

/** Read anew: settings may change while a model loads. */
function isOutdated({ outdated }: Loading): boolean {
  return outdated;
}
