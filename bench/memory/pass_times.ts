import { runProgram } from "../harness/run_program";
import type { Stops } from "../harness/stops";
import { isRealCard } from "./real_card";

export interface PassTimes {
  width: number;
  seconds: number[];
  /** The planner's; 0 where nothing was predicted. */
  predicted: number;
  /** Of the simulated cards' engines and of the copies to the cards, a pass; sums over all cards. */
  cardSeconds: number;
  uploadSeconds: number;
  uploadedBytes: number;
}

export interface PassTimesReport {
  /** With the first token. */
  loadSeconds: number;
  vramBytes: number;
  passes: PassTimes[];
  /** Of NMOS only: RAM of the process at most, with what it had read of mapped files. */
  peakBytes?: number;
  measureSeconds?: number;
  explanation?: string;
  slotHits?: number;
  slotMisses?: number;
  /** Of the graphics memory that was released and filled again; bytes per second of the card's bus. */
  restoredBytes?: number;
  restoreSeconds?: number;
  /** From cancelling that at moments by chance to its end. */
  cancelSeconds?: number[];
  /** Of passes of one token that began while it was filled. */
  besideSeconds?: number[];
  pinnedBandwidth?: number;
}

export interface Setting {
  program: string;
  libraries: string;
  model: string;
  /** A profile of a simulated card or `DEVICE@MIB` for so much of a real one, several with `+` between them, or `none`. */
  card: string;
  threads: number;
  contextLength: number;
}

/** How llama.cpp divides a model between card and processor. */
export interface StaticSplit {
  /** n_gpu_layers. */
  layers: number;
  /** Where the weights in RAM lie. */
  memory: "mapped" | "pinned";
  /** Regular expression of the tensors that stay with the processor. */
  override?: string;
}

/** Passes with NMOS's placement, or with a static split of llama.cpp; null when the split does not fit the card. */
export async function timePasses(
  { program, libraries, model, card, threads, contextLength }: Setting,
  split: StaticSplit | null,
  widths: readonly number[],
  repeats: number,
  stops: Stops,
): Promise<PassTimesReport | null> {
  const common = [libraries, model, card, String(threads), String(contextLength), widths.join(","), String(repeats)];
  const args = split
    ? ["upstream", ...common, String(split.layers), split.memory, ...(split.override ? [split.override] : [])]
    : ["nmos", ...common];
  const { status, output, errors } = await runProgram(program, args, stops);
  if (status === 0) return JSON.parse(output) as PassTimesReport;
  // ggml's backends of real cards end the process where a pass finds no memory for what lies beside the buffers.
  const ranOut = isRealCard(card) && status === "SIGABRT" && /memory/i.test(errors);
  if (split && (ranOut || /this split/.test(errors))) return null;
  throw new Error(`pass_times ${args.join(" ")} ended with ${status}: ${errors.slice(-2000)}`);
}
