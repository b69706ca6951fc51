import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import manifest from "../../../package.json";
import type { EngineSettings } from "../../shared/engine_settings";
import type { BackendStatus, LoadedModel } from "../../shared/engine_status";
import { EngineError, toEngineError } from "../../shared/errors";
import type { NvidiaCard, PackReport } from "../../shared/packs";
import type { RoomNeed } from "../models/disk_space";
import type { FileSource } from "../models/file_source";
import type { DownloadOptions } from "../models/shared_downloads";
import type { NativeBackend, NativeBackendPack, NativeDevice } from "../native/addon";
import { BackendTrial } from "../packs/backend_trial";
import { choosePack, isCompiledAtFirstUse } from "../packs/choose_pack";
import { findNvidiaCards } from "../packs/nvidia_cards";
import type { InstalledPack } from "../packs/pack_folders";
import { releasesUrl, type PackEntry } from "../packs/pack_catalogue";
import { PackStore } from "../packs/pack_store";
import { enginePaths } from "../paths";
import { hasCardOf, hasComputed, liesOn } from "./computed_on";
import { VulkanTrial, vulkanBackend } from "./vulkan_trial";

export interface EnginePacksOptions {
  store: PackStore;
  /** `<platform>-<arch>`. */
  platform: string;
  settings: () => Pick<EngineSettings, "cuda" | "gpu">;
  /** For what the driver compiles. */
  cacheDirectory: string;
  /** Remembers how the package's own backend fares. Another version of NMOS has another one. */
  vulkanTrialFile: string;
  log: (line: string) => void;
  onChanged: () => void;
  findCards?: () => Promise<NvidiaCard[]>;
  env?: NodeJS.ProcessEnv;
}

/** The packs of this user, for the platform that this process runs on. */
export function createEnginePacks(options: {
  version: string;
  settings: () => EngineSettings;
  log: (line: string) => void;
  onChanged: () => void;
}): EnginePacks {
  const { packs: directory, cache: cacheDirectory } = enginePaths();
  const platform = `${process.platform}-${process.arch}`;
  const settings = () => {
    const { proxy, noProxy, packMirror: mirror } = options.settings();
    return { proxy, noProxy, mirror };
  };
  const { version, log } = options;
  const store = new PackStore({ directory, platform, version, releases: releasesUrl(manifest), settings, log });
  const vulkanTrialFile = join(cacheDirectory, `vulkan-${version}.trial`);
  return new EnginePacks({ ...options, store, platform, cacheDirectory, vulkanTrialFile });
}

/** Name of the backend that all packs are of. */
const backend = "cuda";

/** Of what the driver compiles, bytes; its own default is too small for all kernels of the engine. */
const compiledBytes = String(2 ** 31);

/** How long the first request may wait for the cards to be known; NVIDIA's program may have to wake them. */
const longestWaitMs = 3_000;

/** Which packs and which of the package's own backends the native engine gets, and what became of them. */
export class EnginePacks {
  private readonly store: PackStore;
  /**
   * Resolves when a pack that is installed can be chosen by the cards, soon in any case: who does not wait, or whose driver
   * does not answer, relies on the trial.
   */
  readonly ready: Promise<void>;
  private cards: NvidiaCard[] | null = null;
  private search: Promise<NvidiaCard[]> | null = null;
  private used: InstalledPack | null = null;
  /** Folder of the pack that was installed when the engine was made, used or refused; null also when that was made anew since. */
  private offered: string | null = null;
  private proven = false;
  /** Why an installed pack was not even tried. */
  private refusal: string | null = null;
  private readonly vulkan: VulkanTrial;
  private hasDevice = true;

  constructor(private readonly options: EnginePacksOptions) {
    this.store = options.store;
    this.vulkan = new VulkanTrial(new BackendTrial(options.vulkanTrialFile, options.log));
    this.ready = this.store.installed() ? this.awaitCards() : Promise.resolve();
  }

  async report(): Promise<PackReport> {
    const { platform } = this.options;
    const cards = await this.findCards();
    const { pack, reason, needsDriver } = choosePack(platform, cards, this.store.entries);
    return { cards, packs: this.store.list(), suitable: pack?.id ?? null, reason, needsDriver };
  }

  async install(id: string, options: DownloadOptions): Promise<void> {
    await this.ensureSuitable(id);
    await this.store.install(id, options);
    this.tryAgain();
  }

  /** On a machine without a card, too: it may get one. */
  async installFile(path: string, options: DownloadOptions): Promise<void> {
    await this.store.installFile(path, options, ({ id }) => this.ensureSuitable(id));
    this.tryAgain();
  }

  /** As an archive asks, which has looked at the report. */
  async installFrom(id: string, source: FileSource, options: DownloadOptions): Promise<void> {
    await this.store.installFrom(id, source, options);
    this.tryAgain();
  }

  get entries(): readonly PackEntry[] {
    return this.store.entries;
  }

  /** What installing a pack from a file needs of the disk; null: it is there already. */
  roomFor(id: string): RoomNeed | null {
    return this.store.roomFor(id);
  }

  async remove(id: string): Promise<void> {
    this.tryAgain();
    await this.store.remove(id);
  }

  /** A pack is installed that an engine which runs was not made with. */
  get isNews(): boolean {
    const pack = this.store.installed();
    return pack !== null && pack.folder !== this.offered;
  }

  /** For the native engine that is about to be made. Prepares the environment that the driver reads. */
  forEngine(): NativeBackendPack[] {
    const pack = this.store.installed();
    this.offered = pack?.folder ?? null;
    this.refusal = pack && this.objection(pack);
    if (!pack || this.refusal !== null) return [];
    const { env = process.env } = this.options;
    const compiled = this.compiledDirectory();
    if (this.mayCompileInto(compiled)) env["CUDA_CACHE_PATH"] ??= compiled;
    env["CUDA_CACHE_MAXSIZE"] ??= compiledBytes;
    this.hideOtherCards(pack, env);
    this.store.use(pack);
    this.used = pack;
    return [{ backend: pack.backend, libraries: pack.libraries }];
  }

  /** Names of the package's own backends that the native engine is not to load. To be asked after `forEngine`. */
  leftOut(): string[] {
    return this.vulkan.leaveOut({ isSuspect: this.used === null }) ? [vulkanBackend] : [];
  }

  /** The native engine was made and has found these devices. */
  made(devices: readonly NativeDevice[]): void {
    const isUsed = this.options.settings().gpu !== "off";
    this.vulkan.made(devices, { isUsed });
    if (this.used && !hasCardOf(devices, "CUDA")) {
      // It was left out without a crash: Vulkan computes in its place.
      this.trialOf(this.used).passed();
      this.vulkan.suspect();
    }
    this.hasDevice = !isUsed || devices.some(({ kind }) => kind !== "cpu");
    if (this.hasDevice || this.cards) return;
    // There may be a card all the same, of which nobody has asked yet.
    this.findCards().then(this.options.onChanged, (thrown: unknown) => {
      this.options.log(`NVIDIA's cards cannot be looked for: ${String(thrown)}`);
    });
  }

  /** What the native engine says of its backends, and why one was kept from it. */
  status(backends: readonly NativeBackend[]): BackendStatus[] {
    const left: BackendStatus[] = [];
    const { gpu, cuda } = this.options.settings();
    const { refusal, vulkan } = this;
    if (refusal !== null)
      left.push({ name: backend, usable: false, reason: refusal, isMissed: ![gpu, cuda].includes("off") });
    if (vulkan.refusal !== null)
      left.push({ name: vulkanBackend, usable: false, reason: vulkan.refusal, isMissed: gpu !== "off" });
    return [...left, ...backends.map((one) => this.missed(one))];
  }

  /** A card that NVIDIA's driver knows, but no backend: something is wrong with the installation of one of them. */
  private missed(state: NativeBackend): BackendStatus {
    const [card] = this.cards ?? [];
    if (this.hasDevice || !card || state.usable || state.name !== vulkanBackend) return state;
    return { ...state, reason: `${card.name} is there, but ${state.reason}`, isMissed: true };
  }

  /** A sentence while the driver has to compile first; else empty. */
  preparing(backends: readonly NativeBackend[]): string {
    const isUsable = backends.some(({ name, usable }) => name === backend && usable);
    const { used } = this;
    const card = used && this.cardsFor(used).find((one) => isCompiledAtFirstUse(used.entry, one));
    if (!isUsable || !used || !card || existsSync(this.preparedFile(used, card))) return "";
    return `The driver compiles code for ${card.name}: the first answers take up to five minutes longer, once.`;
  }

  /** To be called now and then: a backend with which a model has computed has proved itself. */
  settle(models: readonly LoadedModel[]): void {
    this.vulkan.settle(models);
    if (this.proven || !this.used || !hasComputed(models, "CUDA")) return;
    this.proven = true;
    this.trialOf(this.used).passed();
    this.markPrepared(this.used);
    this.vulkan.suspect();
    this.options.onChanged();
  }

  /**
   * The engine ends in an orderly way, or was not made at all: that says nothing against the backend. To be called before
   * anything that may hang in the driver. `isFailure`: it ends because a card failed, which stays on the record of the
   * backend on whose cards these models lie, CUDA's where they lie on both.
   */
  close({ isFailure = false, models = [] }: { isFailure?: boolean; models?: readonly LoadedModel[] } = {}): void {
    const isVulkans = !models.some((model) => liesOn(model, "CUDA")) && models.some((model) => liesOn(model, "Vulkan"));
    if (isFailure && this.used && isVulkans) {
      this.trialOf(this.used).passed();
      this.vulkan.suspect();
    }
    if (isFailure) return;
    if (this.used) this.trialOf(this.used).passed();
    this.vulkan.end();
  }

  /** The user has the engine started anew: what was left out because of crashes is tried again then. */
  restart(): void {
    const pack = this.store.installed();
    if (pack && pack.folder !== this.used?.folder) this.trialOf(pack).passed();
    this.vulkan.tryAgain();
  }

  /** One search at a time: where the driver hangs, every one of them leaves a program behind. */
  private findCards(): Promise<NvidiaCard[]> {
    this.search ??= (this.options.findCards ?? findNvidiaCards)()
      .then((cards) => (this.cards = cards))
      .finally(() => {
        this.search = null;
      });
    return this.search;
  }

  private async awaitCards(): Promise<void> {
    const patience = new AbortController();
    const isLate = delay(longestWaitMs, undefined, { signal: patience.signal, ref: false });
    await Promise.race([this.findCards(), isLate]).catch((thrown: unknown) => {
      this.options.log(`NVIDIA's cards cannot be looked for: ${String(thrown)}`);
    });
    isLate.catch(() => undefined);
    patience.abort();
  }

  /** The cards that a pack has code for. */
  private cardsFor({ entry }: InstalledPack): NvidiaCard[] {
    return choosePack(this.options.platform, this.cards ?? [], [entry]).cards;
  }

  /** A card that the pack has no code for would fail in the midst of an answer; hidden from CUDA it computes with Vulkan. */
  private hideOtherCards(pack: InstalledPack, env: NodeJS.ProcessEnv): void {
    const suitable = this.cardsFor(pack);
    if (suitable.length === 0 || suitable.length === this.cards?.length) return;
    const uuids = suitable.flatMap(({ uuid }) => uuid ?? []);
    if (uuids.length < suitable.length) this.options.log("the driver tells no ids of cards: CUDA sees all of them");
    else env["CUDA_VISIBLE_DEVICES"] ??= uuids.join(",");
  }

  /** What the driver compiles goes there; it makes no folders above its own. */
  private compiledDirectory(): string {
    const directory = join(this.options.cacheDirectory, "cuda");
    try {
      mkdirSync(directory, { recursive: true });
    } catch (thrown) {
      this.options.log(`${directory} cannot be made: ${toEngineError(thrown).message}`);
    }
    return directory;
  }

  /**
   * Nobody says how the driver of Windows reads letters of other languages in a variable. Where it misread them it would compile
   * at every start, so it keeps its own place then, in the profile as well.
   */
  private mayCompileInto(directory: string): boolean {
    return !this.options.platform.startsWith("win32-") || /^[\x20-\x7e]*$/.test(directory);
  }

  /** A pack that this machine cannot use would only take room, or worse, be used. */
  private async ensureSuitable(id: string): Promise<void> {
    const { suitable, reason, cards } = await this.report();
    if (suitable === id || cards.length === 0) return;
    const instead = suitable === null ? "" : ` The pack for this machine is ${suitable}.`;
    throw new EngineError("BACKEND_UNAVAILABLE", `${id} is not for this machine.${instead} ${reason}`);
  }

  private objection(pack: InstalledPack): string | null {
    const { settings, platform } = this.options;
    // Loaded all the same, it would wake the card and take memory of it.
    if (settings().gpu === "off") return "graphics cards were switched off (nmos.engine.gpu) when the engine started";
    if (settings().cuda === "off") return "it was switched off (nmos.engine.cuda) when the engine started";
    if (this.cards && this.cards.length > 0) {
      const { pack: suitable, reason } = choosePack(platform, this.cards, [pack.entry]);
      if (!suitable) return reason;
    }
    if (this.trialOf(pack).begin()) return null;
    return "the engine ended unexpectedly when it used it. Update the driver, then run NMOS: Restart Engine to have it tried again";
  }

  private tryAgain(): void {
    const pack = this.store.installed();
    if (pack) this.trialOf(pack).passed();
    this.offered = null;
    this.options.onChanged();
  }

  private trialOf({ folder }: InstalledPack): BackendTrial {
    return new BackendTrial(`${folder}.trial`, this.options.log);
  }

  /** The driver throws away what another version of it compiled. */
  private preparedFile({ folder }: InstalledPack, { driver }: NvidiaCard): string {
    return join(this.options.cacheDirectory, "cuda", `${basename(folder)}-${driver}.prepared`);
  }

  private markPrepared(pack: InstalledPack): void {
    for (const card of this.cards ?? []) {
      const file = this.preparedFile(pack, card);
      try {
        mkdirSync(dirname(file), { recursive: true });
        writeFileSync(file, "");
      } catch (thrown) {
        this.options.log(`${file} cannot be written: ${toEngineError(thrown).message}`);
      }
    }
  }
}
