import type { CompletionPrefillParams } from "../../shared/completion";
import type { AheadResult } from "../../shared/generation";
import type { Clock } from "./clock";
import type { EditKind } from "./edit_kind";
import { advance, type LoopEffect, type LoopEvent, type LoopState } from "./loop_state";
import { TypingRhythm } from "./typing_rhythm";

export interface EditorLoopOptions {
  clock: Clock;
  /** Computes ahead at the cursor; null when there is nothing to be computed. Ends soon after the signal aborts. */
  prefill: (reach: CompletionPrefillParams["reach"], signal: AbortSignal) => Promise<AheadResult>;
}

/** Computes the suggestion after the one on the screen ahead, if there is one. Ends soon after the signal aborts. */
export type Foresee = (signal: AbortSignal) => Promise<void>;

/** Milliseconds that answers take, as long as there was none. */
const usualAnswer = 200;

/** Milliseconds within which the editor asks for a suggestion if it does at all. */
const unasked = 200;

/** Milliseconds that a suggestion is looked at before it is accepted. */
const glance = 200;

/** Milliseconds of nothing else to do before the whole context is computed. */
const calm = 300;

/** Answers whose times are remembered. */
const memory = 15;

/**
 * Runs the loop of `loop_state.ts` for one window: tells pauses from typing, lets suggestions begin in pauses and computes
 * the context of the cursor ahead when nothing else is to do. Failures of computing ahead are left alone: the next
 * suggestion meets them, too, and tells.
 */
export class EditorLoop {
  private state: LoopState = { phase: "away" };
  private readonly rhythm = new TypingRhythm();
  private readonly answers: number[] = [];
  private waiting: (() => void)[] = [];
  /** When the last typed key was, where nothing but keys has happened since. */
  private lastKey = -Infinity;
  /** Counts what the user does. */
  private round = 0;
  private ahead: AbortController | undefined;
  private callOff: (() => void) | undefined;
  private foresight: Foresee = () => Promise.resolve();

  constructor(private readonly options: EditorLoopOptions) {}

  get phase(): LoopState["phase"] {
    return this.state.phase;
  }

  /** Who shows suggestions knows what comes after them; until they tell, nothing does. */
  foreseeWith(foresee: Foresee): void {
    this.foresight = foresee;
  }

  edited(kind: EditKind, languageId: string): void {
    const now = this.options.clock.now();
    if (kind === "typed" && Number.isFinite(this.lastKey)) this.rhythm.record(languageId, now - this.lastKey);
    this.lastKey = kind === "typed" ? now : -Infinity;
    this.round += 1;
    this.handle({ type: "edited", kind, wait: this.rhythm.wait(languageId, this.answerTime()) });
  }

  moved(): void {
    this.lastKey = -Infinity;
    this.round += 1;
    this.handle({ type: "moved" });
  }

  left(): void {
    this.lastKey = -Infinity;
    this.round += 1;
    this.handle({ type: "left" });
  }

  /** Waits for a pause of at least `least` milliseconds. False as soon as the signal aborts. */
  async pause(least: number, signal: AbortSignal): Promise<boolean> {
    const { clock } = this.options;
    const begin = clock.now();
    if (this.state.phase === "suggest") this.callOff?.();
    if (this.state.phase === "typing" && !signal.aborted) await this.suggestPhase(signal);
    const left = begin + least - clock.now();
    if (left > 0 && !signal.aborted) await this.time(left, signal);
    if (this.state.phase === "suggest") this.expectSuggestion();
    return !signal.aborted;
  }

  /**
   * A suggestion is begun. The function returned tells of its end, with the milliseconds that the engine took for it, unless
   * it was called off.
   */
  suggesting(): (answerMs: number | undefined) => void {
    const { round } = this;
    if (this.state.phase === "suggest") this.callOff?.();
    return (answerMs) => {
      if (answerMs !== undefined) this.answers.push(answerMs);
      if (this.answers.length > memory) this.answers.shift();
      this.endOf(round, { type: "suggested" });
    };
  }

  dispose(): void {
    this.wake();
    this.left();
  }

  /** What was begun before the user did something else says nothing of now. */
  private endOf(round: number, event: LoopEvent): void {
    if (round === this.round) this.handle(event);
  }

  private handle(event: LoopEvent): void {
    const { state, effects } = advance(this.state, event, this.options.clock.now());
    if (state === this.state) return;
    this.state = state;
    this.callOff?.();
    this.callOff = undefined;
    if (state.phase === "typing") {
      this.callOff = this.options.clock.after(Math.max(0, state.until - this.options.clock.now()), () => {
        this.handle({ type: "time", isAwaited: this.waiting.length > 0 });
      });
    }
    for (const effect of effects) this.perform(effect);
  }

  private perform(effect: LoopEffect): void {
    switch (effect) {
      case "abort":
        this.ahead?.abort();
        this.ahead = undefined;
        return;
      case "prefill typed":
        void this.prefill("typed");
        return;
      case "foresee":
        this.callOff = this.options.clock.after(glance, () => void this.foresee());
        return;
      case "prefill whole":
        void this.prefillWhole();
        return;
      case "prefill whole when calm":
        // Shorter pauses are too short for it.
        this.callOff = this.options.clock.after(calm, () => void this.prefillWhole());
        return;
      case "suggest":
        this.wake();
    }
  }

  private async prefillWhole(): Promise<void> {
    const { round } = this;
    await this.prefill("whole");
    this.endOf(round, { type: "warmed" });
  }

  private async foresee(): Promise<void> {
    const { round } = this;
    await this.computeAhead(this.foresight);
    this.endOf(round, { type: "foreseen" });
  }

  private prefill(reach: CompletionPrefillParams["reach"]): Promise<void> {
    return this.computeAhead((signal) => this.options.prefill(reach, signal));
  }

  private async computeAhead(compute: (signal: AbortSignal) => Promise<unknown>): Promise<void> {
    this.ahead?.abort();
    const controller = new AbortController();
    this.ahead = controller;
    try {
      await compute(controller.signal);
    } catch {
      return;
    } finally {
      if (this.ahead === controller) this.ahead = undefined;
    }
  }

  private answerTime(): number {
    const sorted = this.answers.toSorted((a, b) => a - b);
    return sorted[sorted.length >> 1] ?? usualAnswer;
  }

  private suggestPhase(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      this.waiting.push(resolve);
      signal.addEventListener(
        "abort",
        () => {
          this.waiting = this.waiting.filter((other) => other !== resolve);
          resolve();
        },
        { once: true },
      );
    });
  }

  private wake(): void {
    const { waiting } = this;
    this.waiting = [];
    for (const resolve of waiting) resolve();
    if (waiting.length === 0) this.expectSuggestion();
  }

  /** Where none is begun soon there will be none: one was known, or under way already, or they are off. */
  private expectSuggestion(): void {
    this.callOff?.();
    this.callOff = this.options.clock.after(unasked, () => {
      this.handle({ type: "suggested" });
    });
  }

  private time(milliseconds: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const callOff = this.options.clock.after(milliseconds, resolve);
      signal.addEventListener(
        "abort",
        () => {
          callOff();
          resolve();
        },
        { once: true },
      );
    });
  }
}
