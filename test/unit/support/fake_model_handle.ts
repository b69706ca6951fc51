import type { GenerateRequest, ModelHandle, PrefillRequest } from "../../../src/engine/host/model_handle";
import type {
  GenerateResult,
  NativeModelInfo,
  PrefillResult,
  PromptPart,
  SamplerOptions,
} from "../../../src/engine/native/addon";

type SpecialTokens = NativeModelInfo["specialTokens"];

/** Facts about a model that exists in tests only. */
export function fakeModelInfo(chatTemplate: string | null, given: Partial<SpecialTokens> = {}): NativeModelInfo {
  return {
    path: "/models/fake.gguf",
    description: "fake 1B",
    architecture: "fake",
    sizeBytes: 1,
    parameters: 1,
    layers: 1,
    vocabularySize: 1,
    trainedContextLength: 4096,
    chatTemplate,
    specialTokens: {
      bos: null,
      eos: null,
      fimPrefix: null,
      fimSuffix: null,
      fimMiddle: null,
      fimRepository: null,
      fimSeparator: null,
      fimPad: null,
      ...given,
    },
    addsBos: given.bos !== undefined,
    takesTokensBack: true,
    metadata: {},
  };
}

/** What the fake was asked for, without the callbacks. */
export interface FakeCall {
  prompt: string;
  priority: string;
  signal: AbortSignal | undefined;
  maxTokens?: number;
  sampler?: SamplerOptions | undefined;
  stop?: string[] | undefined;
  beginWith?: string | undefined;
  draftTokens?: Int32Array | undefined;
}

const bosToken = 0;

/**
 * A model with one token for every character, whose answer is given. Keeps the calls. Ends at the first stop string, at
 * the length asked for and when the signal aborts, as the engine does.
 */
export class FakeModelHandle implements ModelHandle {
  readonly ref = "fake";
  readonly calls: FakeCall[] = [];
  prefillSpeed: number | undefined = undefined;
  isAwaited = false;
  /** Of a prompt, at its beginning. */
  cached = "";

  constructor(
    readonly info: NativeModelInfo,
    readonly contextLength: number,
    private readonly answer: { text: string; finish: GenerateResult["finish"] } = { text: "", finish: "stop" },
  ) {}

  tokenize(parts: PromptPart[], { addBos = true }: { addBos?: boolean } = {}): Promise<Int32Array> {
    const text = Array.from(parts.map((part) => part.text).join(""), (character) => character.codePointAt(0) ?? 0);
    return Promise.resolve(Int32Array.from(this.info.addsBos && addBos ? [bosToken, ...text] : text));
  }

  detokenize(tokens: Int32Array): Promise<string> {
    const text = [...tokens].map((token) => (token === bosToken ? this.info.specialTokens.bos : character(token)));
    return Promise.resolve(text.join(""));
  }

  missingTokens(tokens: Int32Array): number {
    const cached = Array.from(this.cached, (character) => character.codePointAt(0) ?? 0);
    const differs = tokens.findIndex((token, index) => token !== cached[index]);
    return differs < 0 ? 0 : tokens.length - differs;
  }

  async prefill({ tokens, priority, signal }: PrefillRequest): Promise<PrefillResult> {
    this.calls.push({ prompt: await this.detokenize(tokens), priority, signal });
    return costOf(tokens, signal);
  }

  async generate({ tokens, priority, signal, onText, ...rest }: GenerateRequest): Promise<GenerateResult> {
    const { maxTokens, sampler, stop, beginWith, draftTokens, rate } = rest;
    const asked = { maxTokens, sampler, stop, beginWith, draftTokens };
    this.calls.push({ prompt: await this.detokenize(tokens), priority, signal, ...asked });
    const stopAt = Math.min(
      ...(stop ?? []).map((text) => this.answer.text.indexOf(text)).filter((at) => at >= 0),
      Infinity,
    );
    let { finish } = this.answer;
    let text = "";
    for (const piece of this.answer.text) {
      if (text.length >= stopAt) finish = "stop";
      else if (signal?.aborted) finish = "cancelled";
      else if (text.length >= maxTokens) finish = "length";
      else {
        text += piece;
        onText?.(piece);
        // The engine's tokens arrive one by one.
        await Promise.resolve();
        continue;
      }
      break;
    }
    const answerTokens = await this.tokenize([{ text, special: false }], { addBos: false });
    const guesses = {
      draftedTokens: 6,
      acceptedTokens: 5,
      draftModelTokens: 3,
      acceptedDraftModelTokens: 2,
      draftModelPasses: 4,
      savedMs: 7,
    };
    const confidence = rate && text !== "" ? { tokens: text.length, mean: -0.25, least: -1 } : null;
    const decoded = { decodeMs: 3, decodePasses: 4, confidence, ...guesses };
    return { ...costOf(tokens, signal), text, finish, tokens: answerTokens, ...decoded };
  }
}

function character(token: number): string {
  return String.fromCodePoint(token);
}

/** Pretends that the first two tokens were still in the cache. */
function costOf({ length }: Int32Array, signal: AbortSignal | undefined): PrefillResult {
  const cancelled = signal?.aborted ?? false;
  return {
    promptTokens: length,
    reusedTokens: 2,
    computedTokens: length - 2,
    queuedMs: 1,
    prefillMs: 2,
    computeMs: 2,
    cancelled,
  };
}
