/**
 * What extracts of other files add to ghost text: lines cut at random columns in files of llama.cpp, completed without other
 * files and with extracts of them that were chosen in several ways.
 */
import { ensureModel } from "../../scripts/fetch_model";
import { ensureEngineLibraries } from "../../scripts/setup/engine_libraries";
import type { Extract } from "../../src/shared/completion";
import type { Benchmark, BenchmarkContext, BenchmarkResult } from "../benchmark";
import { physicalCores } from "../harness/machine";
import { plainRow, singleRow, type Row } from "../harness/report";
import { mean } from "../harness/statistics";
import { matchedShare, readCases, type CompletionCase } from "./cases";
import { contextKinds, Project, type ContextKind } from "./project_context";
import { openModel } from "./whole_context";

const model = "qwen2.5-coder-0.5b";
const contextLength = 8192;
const kinds = Object.keys(contextKinds) as ContextKind[];

export const contextBenchmark: Benchmark = {
  name: "context",
  summary:
    "what extracts of other files add to ghost text (lines of llama.cpp in the file that NMOS_BENCH_CASES names)",
  run: runContext,
};

/** How much of the line was right, without and with the extracts. */
interface Pair {
  without: number;
  with: number;
}

async function runContext({ root, quick, stops, log }: BenchmarkContext): Promise<BenchmarkResult> {
  const cases = readCases(quick ? 16 : 100);
  const project = new Project((await ensureEngineLibraries()).sources);
  const modelPath = await ensureModel(model);
  const complete = await openModel(root, { modelPath, threads: physicalCores(), contextLength }, stops);
  const shareOf = async (one: CompletionCase, extracts: Extract[]): Promise<number> =>
    matchedShare((await complete(one, extracts)).text, one.expected);
  const pairs: Record<ContextKind, Pair[]> = { recent: [], similar: [], declarations: [] };
  for (const [index, one] of cases.entries()) {
    if (index % 10 === 0) log(`case ${String(index + 1)} of ${String(cases.length)}`);
    const without = await shareOf(one, []);
    for (const kind of kinds) {
      const extracts = project.extracts(kind, one);
      if (extracts.length > 0) pairs[kind].push({ without, with: await shareOf(one, extracts) });
    }
  }
  return { rows: kinds.flatMap((kind) => rowsOf(contextKinds[kind], pairs[kind])), versions: {} };
}

function rowsOf(kind: string, pairs: readonly Pair[]): Row[] {
  const compare = (what: string, of: (share: number) => number): Row =>
    singleRow({
      ...{ id: `${kind}: ${what}`, unit: "", peer: "no other files", better: "higher", target: null },
      ours: mean(pairs.map((pair) => of(pair.with))),
      theirs: mean(pairs.map(({ without }) => of(without))),
    });
  return [
    plainRow({ id: `${kind}: cases`, unit: "", value: pairs.length }),
    compare("lines completed exactly", (share) => (share === 1 ? 1 : 0)),
    compare("share of the line before the first error", (share) => share),
  ];
}
