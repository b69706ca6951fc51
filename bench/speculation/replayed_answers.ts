import { programOutput } from "../harness/run_program";
import type { Stops } from "../harness/stops";

/** An answer of a real model, and what a smaller one would have guessed at every place of it. */
export interface Recorded {
  prompt: number[];
  answer: number[];
  guesses: { token: number; probability: number }[];
}

/** What decoding one recorded answer took. */
export interface Replayed {
  tokens: number;
  decodeMs: number;
  decodePasses: number;
  draftedTokens: number;
  acceptedTokens: number;
  draftModelTokens: number;
  acceptedDraftModelTokens: number;
  draftModelPasses: number;
  draftModelMs: number;
  /** The card could have computed, but for an upload. */
  stalledMs: number;
}

export interface ReplayReport {
  /** One for each recorded answer. */
  answers: Replayed[];
  /** Of a pass one token wide, and of one over the draft model; 0: there was none. */
  passMs: number;
  draftPassMs: number;
}

interface Models {
  program: string;
  libraries: string;
  main: string;
  draft: string;
  threads: number;
  contextLength: number;
}

/** The lines that the program writes, three for each prompt. */
export async function recordAnswers(models: Models, prompts: string[], most: number, stops: Stops): Promise<string> {
  const lines = prompts.map((prompt) => prompt.replaceAll("\\", "\\\\").replaceAll("\n", "\\n"));
  const input = `${lines.join("\n")}\n`;
  return programOutput(models.program, ["record", ...argumentsOf(models), String(most)], stops, { input });
}

export async function replayAnswers(
  models: Models,
  card: string,
  guesses: "plain" | "text" | "draft" | "draft-chain" | "draft-unwrapped",
  recording: string,
  stops: Stops,
): Promise<ReplayReport> {
  const args = ["replay", ...argumentsOf(models), card, guesses];
  const output = await programOutput(models.program, args, stops, { input: recording });
  return JSON.parse(output) as ReplayReport;
}

export function parseRecording(recording: string): Recorded[] {
  const lines = recording.trimEnd().split("\n");
  const numbers = (line = "") => line.trim().split(" ").map(Number);
  const guesses = (line = "") =>
    line
      .trim()
      .split(" ")
      .map((guess) => {
        const [token = NaN, probability = NaN] = guess.split(":").map(Number);
        return { token, probability };
      });
  return Array.from({ length: lines.length / 3 }, (_, index) => ({
    prompt: numbers(lines[3 * index]),
    answer: numbers(lines[3 * index + 1]),
    guesses: guesses(lines[3 * index + 2]),
  }));
}

function argumentsOf({ libraries, main, draft, threads, contextLength }: Models): string[] {
  return [libraries, main, draft, String(threads), String(contextLength)];
}
