import type { Row } from "./harness/report";
import type { Stops } from "./harness/stops";

export interface BenchmarkContext {
  /** Folder with `dist/` and `prebuilds/`, built and up to date. */
  root: string;
  /** Under five minutes on two cores, with fewer samples. */
  quick: boolean;
  /** Whatever must not outlive the benchmark is registered here. */
  stops: Stops;
  log: (line: string) => void;
}

export interface BenchmarkResult {
  rows: Row[];
  /** Versions of what was measured, by name. */
  versions: Record<string, string>;
  /** Samples kept although other processes used the cores meanwhile; absent where nobody watched them. */
  disturbedSamples?: number;
  /** An SVG of what happened, for --picture. */
  picture?: string;
}

export interface Benchmark {
  name: string;
  /** What it answers, for the list of benchmarks. */
  summary: string;
  run: (context: BenchmarkContext) => Promise<BenchmarkResult>;
}
