/** What happened while a session was replayed, for a picture of it. Times are in milliseconds of one clock. */
export interface Timeline {
  marks: Mark[];
  spans: Span[];
}

/** A key, or the cursor put elsewhere, or a request that was called off. */
export interface Mark {
  at: number;
  lane: "keys" | Requested;
  kind: "key" | "moved" | "calledOff";
}

/** Who wants what is computed: somebody who waits for it, or nobody yet. */
export type Requested = "asked" | "ahead";

export type Span = { from: number; to: number } & (
  | { lane: "pause" }
  | { lane: Requested; kind: "prefill" | "decode" }
  /** `text`: what is on the screen. */
  | { lane: "shown"; text: string }
);

/** Milliseconds that the engine says a request took. */
interface Usage {
  queuedMs: number;
  prefillMs: number;
  decodeMs: number;
}

/** Writes a timeline while it happens. */
export class TimelineRecorder {
  readonly timeline: Timeline = { marks: [], spans: [] };
  private pauseSince: number | undefined;
  private shown: { text: string; since: number } | undefined;

  constructor(private readonly now: () => number = () => performance.now()) {}

  /** The user did something: pauses end, and what is on the screen goes. */
  acted(kind: "key" | "moved"): void {
    const at = this.now();
    this.finish();
    this.timeline.marks.push({ at, lane: "keys", kind });
  }

  paused(): void {
    this.pauseSince ??= this.now();
  }

  suggested(text: string): void {
    if (text !== "") this.shown ??= { text, since: this.now() };
  }

  calledOff(lane: Requested): void {
    this.timeline.marks.push({ at: this.now(), lane, kind: "calledOff" });
  }

  /** A request that was begun at `from` has ended. */
  generated(lane: Requested, from: number, { queuedMs, prefillMs, decodeMs }: Usage): void {
    const begin = from + queuedMs;
    this.computed(lane, "prefill", begin, begin + prefillMs);
    this.computed(lane, "decode", begin + prefillMs, begin + prefillMs + decodeMs);
  }

  computed(lane: Requested, kind: "prefill" | "decode", from: number, to = this.now()): void {
    if (to > from) this.timeline.spans.push({ lane, kind, from, to });
  }

  /** Ends what is still going on. */
  finish(): void {
    const to = this.now();
    const { spans } = this.timeline;
    if (this.pauseSince !== undefined) spans.push({ lane: "pause", from: this.pauseSince, to });
    if (this.shown) spans.push({ lane: "shown", text: this.shown.text, from: this.shown.since, to });
    this.pauseSince = undefined;
    this.shown = undefined;
  }
}

/** How many suggestions come to the screen in so many milliseconds from a moment on. */
export function suggestionsShown({ spans }: Timeline, from: number, milliseconds: number): number {
  return spans.filter((span) => span.lane === "shown" && span.from >= from && span.from < from + milliseconds).length;
}

/** When the part of so many milliseconds begins, with a key, in which most suggestions come to the screen. */
export function busiestPart(timeline: Timeline, milliseconds: number): number {
  const keys = timeline.marks.filter(({ lane }) => lane === "keys").map(({ at }) => at);
  const last = keys.at(-1) ?? 0;
  const count = (from: number) => suggestionsShown(timeline, from, milliseconds);
  // All of it where it is shorter.
  const begins = keys.filter((at, index) => index === 0 || at + milliseconds <= last);
  return begins.reduce((best, from) => (count(from) > count(best) ? from : best), begins[0] ?? 0);
}
