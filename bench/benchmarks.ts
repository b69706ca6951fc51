import type { Benchmark } from "./benchmark";
import { checkedBenchmark } from "./completion/checked_benchmark";
import { completionBenchmark, largerCompletionBenchmark } from "./completion/completion_benchmark";
import { confidenceBenchmark } from "./completion/confidence_benchmark";
import { contextBenchmark } from "./completion/context_benchmark";
import { draftingBenchmark } from "./drafting/drafting_benchmark";
import { firstRunBenchmark } from "./first_run/first_run_benchmark";
import { firstTokenBenchmark } from "./first_token/first_token_benchmark";
import { healingBenchmark } from "./healing/healing_benchmark";
import { memoryBenchmark } from "./memory/memory_benchmark";
import { calibrationBenchmark } from "./replay/calibration_benchmark";
import { replayBenchmark } from "./replay/replay_benchmark";
import { cardSpeculationBenchmark } from "./speculation/card_benchmark";
import { exactBenchmark } from "./speculation/exact_benchmark";
import { speculationBenchmark } from "./speculation/speculation_benchmark";
import { stackBenchmark } from "./stack/stack_benchmark";
import { typingBenchmark } from "./typing/typing_benchmark";

/** Every benchmark that `npm run bench` knows. */
export const benchmarks: readonly Benchmark[] = [
  stackBenchmark,
  memoryBenchmark,
  speculationBenchmark,
  cardSpeculationBenchmark,
  exactBenchmark,
  completionBenchmark,
  largerCompletionBenchmark,
  checkedBenchmark,
  firstTokenBenchmark,
  firstRunBenchmark,
  healingBenchmark,
  draftingBenchmark,
  confidenceBenchmark,
  calibrationBenchmark,
  contextBenchmark,
  replayBenchmark,
  typingBenchmark,
];
