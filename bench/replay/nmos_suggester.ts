import { leastProbability } from "../../src/engine/completion/suggestion_score";
import { systemClock } from "../../src/engine/editor_loop/clock";
import { editKind } from "../../src/engine/editor_loop/edit_kind";
import { EditorLoop } from "../../src/engine/editor_loop/editor_loop";
import { GhostText } from "../../src/providers/ghost_text";
import type { SuggestionQuery } from "../../src/providers/suggestion_source";
import { settingDefault } from "../harness/setting_default";
import type { EngineUnderTest } from "../stack/engine_under_test";
import type { ReplayedDocument, Silence, Suggester } from "./replay";
import { TimelineRecorder, type Requested } from "./timeline";
import type { TraceEdit } from "./trace";

const debounce = Number(settingDefault("nmos.completion.debounce"));

/** As many as the peer asks for. */
const maxTokens = 128;

/** Prompt tokens computed, suggestions asked for, and milliseconds from calling off a request of any kind to its end. */
export interface NmosCost {
  computedTokens: number;
  requests: number;
  abortMs: number[];
}

/** The extension's own parts between the editor and the engine client, put together as the extension does. */
export class NmosSuggester implements Suggester {
  readonly cost: NmosCost = { computedTokens: 0, requests: 0, abortMs: [] };
  readonly recorder = new TimelineRecorder();
  silence: Silence | undefined;
  /** Why there is nothing to be suggested behind a text. */
  private readonly silences = new Map<string, Silence>();
  private document: ReplayedDocument = { text: "", cursor: 0 };
  private caller = new AbortController();
  private readonly loop: EditorLoop;
  private readonly ghost: GhostText;

  constructor(
    engine: EngineUnderTest,
    private readonly model: string,
    private readonly file: { path: string; languageId: string },
    private readonly show: (text: string) => void,
  ) {
    const { client } = engine;
    this.loop = new EditorLoop({
      clock: systemClock,
      prefill: async (reach, signal) => {
        const place = { ...this.query(), reach, load: reach === "typed" };
        const begin = performance.now();
        const result = await this.watched("ahead", signal, client.request("completion/prefill", place, { signal }));
        if (result && result.computedTokens > 0) this.recorder.computed("ahead", "prefill", begin);
        this.cost.computedTokens += result?.computedTokens ?? 0;
        return result;
      },
    });
    this.ghost = new GhostText({
      clock: systemClock,
      complete: async (query, signal, onText) => {
        const ended = this.loop.suggesting();
        let answerMs: number | undefined;
        const begin = performance.now();
        let generated = "";
        this.silence = "underWay";
        try {
          const request = client.request("completion/complete", query, {
            signal,
            onProgress: (text) => {
              generated += text;
              onText(text);
            },
          });
          const result = await this.watched("asked", signal, request);
          this.recorder.generated("asked", begin, result.usage);
          this.silences.set(query.prefix, generated.trim() === "" ? "empty" : "cut");
          const { queuedMs, prefillMs, decodeMs } = result.usage;
          if (result.finish !== "cancelled") answerMs = queuedMs + prefillMs + decodeMs;
          this.cost.requests += 1;
          this.cost.computedTokens += result.usage.promptTokens - result.usage.reusedTokens;
          return result;
        } finally {
          ended(answerMs);
        }
      },
      completeAhead: async (query, signal) => {
        const begin = performance.now();
        const result = await this.watched("ahead", signal, client.request("completion/ahead", query, { signal }));
        if (result) this.recorder.generated("ahead", begin, result.usage);
        if (result) this.cost.computedTokens += result.usage.promptTokens - result.usage.reusedTokens;
        // A token of it may heal the prompt, and one ends the line.
        if (result) this.silences.set(query.prefix, result.usage.completionTokens <= 2 ? "empty" : "cut");
        return result;
      },
    });
    this.loop.foreseeWith((signal) => this.ghost.foresee(this.query(), signal));
  }

  edited(document: ReplayedDocument, { position, deleted, inserted }: TraceEdit): void {
    this.recorder.acted("key");
    const before = this.document.cursor;
    this.document = document;
    const change = { offset: position, removed: deleted, text: inserted };
    this.loop.edited(editKind([change], { isHistory: false, cursors: [before] }), this.file.languageId);
    this.ask();
  }

  moved(document: ReplayedDocument): void {
    this.recorder.acted("moved");
    this.document = document;
    this.caller.abort();
    this.loop.moved();
  }

  async stop(): Promise<void> {
    this.recorder.finish();
    this.caller.abort();
    this.ghost.cancel();
    this.loop.dispose();
    await new Promise((resolve) => setTimeout(resolve, 200));
  }

  /** As the editor does: the answer for the place before is not wanted any more. */
  private ask(): void {
    this.caller.abort();
    const caller = new AbortController();
    this.caller = caller;
    const pause = async (signal: AbortSignal) => {
      const isPause = await this.loop.pause(debounce, signal);
      if (isPause) this.recorder.paused();
      return isPause;
    };
    this.silence = "waiting";
    const query = this.query();
    this.ghost.suggest(query, { pause, leastProbability: leastProbability.normal }, caller.signal).then(
      ({ text, withheld }) => {
        if (caller.signal.aborted) return;
        this.silence = text === "" ? (withheld ?? this.silences.get(query.prefix)) : undefined;
        this.recorder.suggested(text);
        this.show(text);
      },
      () => {
        if (!caller.signal.aborted) this.silence = "failed";
      },
    );
  }

  /** Notes when a request is called off, and how long it goes on after that. */
  private async watched<T>(lane: Requested, signal: AbortSignal, request: Promise<T>): Promise<T> {
    let abortedAt: number | undefined;
    const note = () => {
      abortedAt = performance.now();
      this.recorder.calledOff(lane);
    };
    signal.addEventListener("abort", note, { once: true });
    try {
      return await request;
    } finally {
      signal.removeEventListener("abort", note);
      if (abortedAt !== undefined) this.cost.abortMs.push(performance.now() - abortedAt);
    }
  }

  private query(): SuggestionQuery {
    const { text, cursor } = this.document;
    return {
      model: this.model,
      ...this.file,
      prefix: text.slice(0, cursor),
      suffix: text.slice(cursor),
      extracts: [],
      lines: "auto",
      maxTokens,
    };
  }
}
