import { dirname } from "node:path";
import { programOutput } from "../harness/run_program";
import type { Stops } from "../harness/stops";
import type { Conditions, Contender, PrefillSample } from "../stack/contender";

/** What a test of llama-bench reports, of its JSON the part that is used. */
export interface LlamaBenchTest {
  n_prompt: number;
  n_gen: number;
  n_depth: number;
  /** One value for each repetition. */
  samples_ts: number[];
}

/** Tokens per second of the one test with one repetition in llama-bench's JSON. */
export function tokensPerSecond(json: string): number {
  const tests = JSON.parse(json) as LlamaBenchTest[];
  const [value, ...others] = tests.flatMap(({ samples_ts }) => samples_ts);
  if (value === undefined || others.length > 0) {
    throw new Error(`Expected one sample from llama-bench, got ${value === undefined ? 0 : others.length + 1}.`);
  }
  return value;
}

/**
 * llama.cpp's own benchmark: passes over random tokens and nothing else, no sampling, no text. Each sample is a process,
 * which loads the model and warms up outside of what it measures.
 */
export class LlamaBench implements Contender {
  constructor(
    private readonly program: string,
    private readonly conditions: Conditions,
    private readonly stops: Stops,
  ) {}

  processIds(): number[] {
    return [];
  }

  async prefill(tokens: number): Promise<PrefillSample> {
    return { tokensPerSecond: await this.run(["-p", String(tokens), "-n", "0"]), firstTextMs: null };
  }

  decode(depth: number, tokens: number): Promise<number> {
    return this.run(["-p", "0", "-n", String(tokens), "-d", String(depth)]);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  private async run(test: readonly string[]): Promise<number> {
    const { modelPath, threads } = this.conditions;
    const common = ["-m", modelPath, "-t", String(threads), "-dev", "none", "-fa", "auto"];
    return tokensPerSecond(await this.output([...common, ...test, "-r", "1", "-o", "json"]));
  }

  private output(args: readonly string[]): Promise<string> {
    // It looks for backends in its own folder and in the current one: let both be the one with the pinned ones.
    return programOutput(this.program, args, this.stops, { cwd: dirname(this.program) });
  }
}
