/**
 * What guessing adds to a step of an answer, beside passes: drafting from the text and from earlier answers, and the controller's decisions. The prompt is
 * source files, the answer one of them with another name in it, as when code is rewritten.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import pins from "../../native/engine_libraries.json";
import { ensureModel } from "../../scripts/fetch_model";
import { buildBenchPrograms } from "../../scripts/setup/native_build";
import type { Benchmark, BenchmarkContext, BenchmarkResult } from "../benchmark";
import { percentileRows, plainRow } from "../harness/report";
import { programOutput } from "../harness/run_program";

const model = "qwen2.5-coder-0.5b";

/** Microseconds. */
const limits = { draft: 20, decision: 50 };

/** Characters of a long prompt, some thousand tokens. */
const longestPrompt = 40_000;

export const draftingBenchmark: Benchmark = {
  name: "drafting",
  summary: "what guessing adds to a step of an answer",
  run: runDrafting,
};

interface Steps {
  promptTokens: number;
  /** Microseconds. */
  draft: number[];
  pass: number[];
  draftToken: number[];
}

async function runDrafting({ root, quick, stops }: BenchmarkContext): Promise<BenchmarkResult> {
  const { draftingSteps } = await buildBenchPrograms();
  const { prompt, answer } = rewriting(join(root, "src", "engine", "host"));
  const args = [await ensureModel(model), String(Buffer.byteLength(prompt)), String(quick ? 100 : 1000)];
  const output = await programOutput(draftingSteps, args, stops, { input: prompt + answer });
  const { promptTokens, draft, pass, draftToken } = JSON.parse(output) as Steps;
  const rows = [
    plainRow({ id: `steps, behind a prompt of ${String(promptTokens)} tokens`, unit: "", value: draft.length }),
  ];
  for (const [id, values, limit] of [
    ["drafting from the text", draft, limits.draft],
    ["deciding about a pass", pass, limits.decision],
    ["deciding about a token of a draft model", draftToken, limits.decision],
  ] as const) {
    rows.push(...percentileRows({ id, unit: "µs", values, limit }));
  }
  return { rows, versions: { "llama.cpp": pins.llamaCpp.version } };
}

/** The files of a folder as far as a prompt goes, and the first of them rewritten. */
function rewriting(folder: string): { prompt: string; answer: string } {
  const files = readdirSync(folder)
    .sort()
    .map((name) => readFileSync(join(folder, name), "utf8"));
  const prompt = files.join("\n").slice(0, longestPrompt);
  return {
    prompt,
    answer: prompt
      .slice(0, longestPrompt / 4)
      .replaceAll("const ", "let ")
      .replaceAll("session", "thread"),
  };
}
