import { readFileSync, writeFileSync } from "node:fs";
import { basename } from "node:path";
import type {
  GenerateOptions,
  GenerateResult,
  LoadModelOptions,
  NativeActivity,
  NativeAddon,
  NativeBackend,
  NativeCancellation,
  NativeCompareOptions,
  NativeDevice,
  NativeDivergence,
  NativeEngine,
  NativeModel,
  NativePlacement,
  NativeQuantiseOptions,
  NativeSession,
  NativeSnapshot,
  NativeWeightSummary,
  PlanOptions,
  PrefillOptions,
  PrefillResult,
} from "../../../src/engine/native/addon";
import type { ErrorCode } from "../../../src/shared/errors";
import { fakeModelInfo } from "../support/fake_model_handle";

/**
 * Stands in for the native addon in a real engine host process (see `NMOS_ADDON`). One token for every character. What
 * it answers depends on the last line of the prompt that begins with a slash:
 *
 * - `/count N`: the numbers up to N, one at a time
 * - `/forever`: numbers until it is cancelled
 * - `/crash`: the process ends as by an assertion in native code
 * - `/fail CODE`: a native error with this code
 * - `/throw`: an error that nobody waits for
 * - `/hang`: the call does not return, and the event loop waits for it
 *
 * Every token is guessed and every second guess is right, unless speculation is off.
 *
 * A model whose file is called `gated.gguf` loads until it is cancelled.
 *
 * With `NMOS_FAKE_STUCK` the compute thread hangs in a driver: the engine does not close, and an ordinary exit of the process
 * waits for it, as the addon's does.
 */
const isStuck = process.env["NMOS_FAKE_STUCK"] !== undefined;

if (isStuck) process.on("exit", hang);

const chatTemplate = "{% for message in messages %}{{ message.content }}\n{% endfor %}";

const tokenMs = 2;

class Cancellation implements NativeCancellation {
  cancelled = false;
  cancel(): void {
    this.cancelled = true;
  }
}

class Session implements NativeSession {
  private cached: Int32Array = new Int32Array();

  constructor(readonly contextLength: number) {}

  cachedTokens(): Int32Array {
    return this.cached;
  }

  save(): Promise<NativeSnapshot | null> {
    const tokens = this.cached;
    return Promise.resolve(tokens.length > 0 ? { tokens, bytes: tokens.length, close: () => undefined } : null);
  }

  restore({ tokens }: NativeSnapshot): Promise<void> {
    this.cached = tokens;
    return Promise.resolve();
  }

  async prefill({ tokens, cancellation }: PrefillOptions): Promise<PrefillResult> {
    await pause();
    const cancelled = cancellation?.cancelled ?? false;
    const reusedTokens = this.cached.findIndex((token, index) => token !== tokens[index]);
    const reused = reusedTokens < 0 ? Math.min(this.cached.length, tokens.length) : reusedTokens;
    if (!cancelled) this.cached = tokens;
    return {
      promptTokens: tokens.length,
      reusedTokens: reused,
      computedTokens: tokens.length - reused,
      queuedMs: 0,
      prefillMs: 1,
      computeMs: 1,
      cancelled,
    };
  }

  async generate(options: GenerateOptions, onText?: (text: string) => void): Promise<GenerateResult> {
    const prefilled = await this.prefill(options);
    const [command = "", argument = ""] = lastCommand(options.tokens).split(" ");
    if (command === "/crash") process.abort();
    if (command === "/throw") {
      setImmediate(() => {
        throw new Error("thrown as asked for");
      });
    }
    if (command === "/hang") hang();
    if (command === "/fail") throw Object.assign(new Error(`failed as asked for: ${argument}`), { code: argument });
    const count = command === "/forever" ? Infinity : Number(argument || "1");
    let text = "";
    let made = 0;
    while (made < count && made < options.maxTokens && !options.cancellation?.cancelled) {
      await pause();
      const piece = `${String(++made)} `;
      text += piece;
      onText?.(piece);
    }
    const finish = options.cancellation?.cancelled ? "cancelled" : made < count ? "length" : "stop";
    const draftedTokens = options.speculation === "off" ? 0 : made;
    const acceptedTokens = Math.floor(draftedTokens / 2);
    return {
      ...prefilled,
      text,
      tokens: new Int32Array(made),
      finish,
      decodeMs: made * tokenMs,
      decodePasses: made - acceptedTokens,
      draftedTokens,
      acceptedTokens,
      // All by the draft model where there is one.
      draftModelTokens: options.draft ? draftedTokens : 0,
      acceptedDraftModelTokens: options.draft ? acceptedTokens : 0,
      draftModelPasses: options.draft ? draftedTokens : 0,
      savedMs: acceptedTokens * tokenMs,
      confidence: options.rate && made > 0 ? { tokens: made, mean: -0.1, least: -0.5 } : null,
    };
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

function planned({ contextLength, kvCacheType = "f16" }: PlanOptions): NativePlacement {
  return {
    layers: 2,
    deviceLayers: 0,
    cards: [],
    hostBytes: 1000,
    deviceBytes: 0,
    kvBytes: 100,
    kvCacheType: kvCacheType === "q8_0" ? "q8_0" : "f16",
    exactPasses: false,
    contextLength,
    shortfall: null,
    explanation: ["Everything in RAM."],
    outputOnDevice: false,
    layerMap: [1, 2].map(() => ({
      attentionOnDevice: false,
      card: null,
      network: { device: 0, uploaded: 0, host: 1 },
    })),
    predictedPasses: [],
  };
}

function model(options: LoadModelOptions): NativeModel {
  const { path, onProgress } = options;
  onProgress?.(0.5);
  onProgress?.(1);
  const activity: NativeActivity = {
    passes: 0,
    lastPass: null,
    uploadedBytes: 0,
    slotHits: 0,
    slotMisses: 0,
    slotDiscarded: 0,
    waitedMs: 0,
    releasedBytes: 0,
    expertUses: 0,
    expertHits: 0,
    releasedOfCards: [],
    timesAsLong: null,
  };
  return {
    info: { ...fakeModelInfo(chatTemplate, { fimPrefix: "<P>", fimSuffix: "<S>", fimMiddle: "<M>" }), path },
    placement: planned(options),
    activity,
    tokenize: (parts) =>
      Promise.resolve(
        Int32Array.from(parts.map(({ text }) => text).join(""), (character) => character.codePointAt(0) ?? 0),
      ),
    detokenize: (tokens) => Promise.resolve(String.fromCodePoint(...tokens)),
    createSession: (options) => Promise.resolve(new Session(options.contextLength)),
    release: () => Promise.resolve(0),
    prefetch: () => Promise.resolve(0),
    close: () => Promise.resolve(),
  };
}

function lastCommand(tokens: Int32Array): string {
  const lines = String.fromCodePoint(...tokens).split("\n");
  return lines.findLast((line) => line.startsWith("/")) ?? "";
}

/** Blocks this thread for ever. */
function hang(): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
}

function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, tokenMs));
}

class Engine implements NativeEngine {
  readonly libraryVersion = "v0-fake";

  devices(): NativeDevice[] {
    return [
      { name: "CPU", description: "fake", kind: "cpu", memoryTotal: 2 ** 34, memoryFree: 2 ** 33, memoryBeyond: 0 },
    ];
  }

  backends(): NativeBackend[] {
    return [{ name: "vulkan", usable: false, reason: "it finds no card it can use" }];
  }

  memory(): ReturnType<NativeEngine["memory"]> {
    return { totalBytes: 2 ** 34, availableBytes: 2 ** 33, processBytes: 1 };
  }

  /** As on a laptop that is on battery where the environment says so. */
  savesEnergy(): boolean {
    return process.env["NMOS_FAKE_BATTERY"] !== undefined;
  }

  async loadModel(options: LoadModelOptions): Promise<NativeModel | null> {
    while (options.path.endsWith("gated.gguf")) {
      if (options.cancellation?.cancelled) return null;
      await pause();
    }
    return model(options);
  }

  planModel(options: PlanOptions): Promise<NativePlacement> {
    return Promise.resolve(planned(options));
  }

  /** By the file's name: `q4…` is of low precision, `cut…` truncated, anything else F16 of 1000 bytes. */
  summariseWeights({ path }: { path: string }): Promise<NativeWeightSummary> {
    const name = basename(path);
    if (name.startsWith("cut")) return Promise.reject(nativeError("MODEL_TRUNCATED", `${path} was cut short.`));
    const lowPrecision = name.startsWith("q4");
    return Promise.resolve({ type: lowPrecision ? "q4_K" : "f16", typeShare: 1, lowPrecision, fileBytes: 1000 });
  }

  predictQuantisedBytes({ type }: { type: string }): Promise<number> {
    return Promise.resolve(type === "Q8_0" ? 600 : 400);
  }

  /** `endless…` never ends, `crash…` ends the process in the middle; the result holds the name of its source. */
  async quantise({ source, target }: NativeQuantiseOptions): Promise<void> {
    writeFileSync(target, `GGUF of ${basename(source)}, process ${String(process.pid)}`);
    if (basename(source).startsWith("crash")) process.abort();
    while (basename(source).startsWith("endless")) await pause();
  }

  compareModels({ judged }: NativeCompareOptions): Promise<NativeDivergence> {
    const isSpoiled = readFileSync(judged, "latin1").includes("spoiled");
    return Promise.resolve({
      tokens: 100,
      surprise: isSpoiled ? NaN : 2,
      meanKl: isSpoiled ? NaN : 0.01,
      sameTop: 0.9,
    });
  }

  close(): Promise<void> {
    return isStuck ? new Promise(() => undefined) : Promise.resolve();
  }
}

function nativeError(code: ErrorCode, message: string): Error {
  return Object.assign(new Error(message), { code });
}

/** Of a user who is no one. */
function keepPipeToUser(): string {
  return "D:P(A;;FA;;;S-1-0-0)";
}

({ Cancellation, Engine, keepPipeToUser }) satisfies NativeAddon;
export { Cancellation, Engine, keepPipeToUser };
