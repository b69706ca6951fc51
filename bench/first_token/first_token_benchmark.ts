/**
 * How long the first token takes after the things that users do, with what NMOS computes in the pauses before and without it.
 * The engine gets the requests that the editor features make; each sample has a text of its own, so that nothing else helps.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import pins from "../../native/engine_libraries.json";
import { ensureModel } from "../../scripts/fetch_model";
import {
  aboutCode,
  editPrompt,
  explainPrompt,
  rewritingBegin,
  type CodeExcerpt,
} from "../../src/engine/chat/edit_prompts";
import type { ChatMessage } from "../../src/shared/chat";
import type { AheadResult } from "../../src/shared/generation";
import type { Benchmark, BenchmarkContext, BenchmarkResult } from "../benchmark";
import { physicalCores } from "../harness/machine";
import { comparisonRow, limitRow } from "../harness/report";
import { median } from "../harness/statistics";
import { startEngine, type EngineUnderTest } from "../stack/engine_under_test";

const model = "qwen2.5-coder-0.5b";
const contextLength = 8192;
const leastGain = 5;
/** Milliseconds to what is on the screen already when a file is opened that was open before. */
const longestReturn = 50;
/** Characters, some 1,300 tokens. */
const fileLength = 5000;
/** Lines between comments that make a copy of a file another one. */
const everyLines = 10;
/** How often the time that computing ahead took is left free after it: without that, the engine stops computing ahead. */
const rests = 2;
const systemPrompt = "You are a helpful programmer.";

export const firstTokenBenchmark: Benchmark = {
  name: "first-token",
  summary: "time to the first token with what is computed in pauses, and without",
  run: runFirstToken,
};

interface Scenario {
  name: string;
  /** What is computed in the pause before. */
  ahead: (engine: Bench, file: SourceFile) => Promise<void>;
  /** Milliseconds to the first token. */
  ask: (engine: Bench, file: SourceFile) => Promise<number>;
}

interface SourceFile {
  path: string;
  text: string;
}

const scenarios: readonly Scenario[] = [
  {
    name: "ghost text in a file that was opened",
    ahead: (bench, file) => bench.prefillPlace(file, 0.5),
    ask: (bench, file) => bench.complete(file, 0.5),
  },
  {
    name: "ghost text where the cursor was put in the same file",
    ahead: (bench, file) => bench.prefillPlace(file, 0.9),
    ask: async (bench, file) => {
      await bench.complete(file, 0.3);
      return bench.complete(file, 0.9);
    },
  },
  {
    name: "explaining selected code",
    ahead: (bench, file) => bench.prefillChat(question(aboutCode(excerptOf(file)))),
    ask: (bench, file) => bench.chat(question(explainPrompt(excerptOf(file)))),
  },
  {
    name: "editing selected code",
    ahead: (bench, file) => bench.prefillChat(rewritingBegin(excerptOf(file))),
    ask: (bench, file) => bench.chat(editPrompt(excerptOf(file), "Rename the first function.")),
  },
  {
    name: "a question that was written, about an attached file",
    ahead: (bench, file) => bench.prefillChat(question(`${aboutCode(excerptOf(file))}What does the first fun`)),
    ask: (bench, file) => bench.chat(question(`${aboutCode(excerptOf(file))}What does the first function do?`)),
  },
];

async function runFirstToken({ root, quick, stops, log }: BenchmarkContext): Promise<BenchmarkResult> {
  const modelPath = await ensureModel(model);
  const engine = await startEngine(root, { modelPath, threads: physicalCores(), contextLength }, stops);
  // As users have it; nothing is compared with programs that guess nothing.
  await engine.client.updateSettings({ speculation: "auto" });
  const bench = new Bench(engine, modelPath);
  const files = sourceFiles(root).slice(0, quick ? 2 : 6);
  // Loads the model for ghost text, and makes its session.
  await bench.complete({ path: "first.ts", text: "const first = 1;\n" }, 1);
  const rows = [];
  for (const { name, ahead, ask } of scenarios) {
    log(name);
    const times = { with: [] as number[], without: [] as number[] };
    for (const [index, file] of files.entries()) {
      for (const mode of index % 2 === 0 ? (["with", "without"] as const) : (["without", "with"] as const)) {
        const one = bench.own(file);
        const begin = performance.now();
        if (mode === "with") await ahead(bench, one);
        const aheadMs = performance.now() - begin;
        times[mode].push(await ask(bench, one));
        await delay(rests * aheadMs);
      }
    }
    rows.push(
      comparisonRow({
        id: name,
        unit: "ms",
        peer: "nothing computed ahead",
        ours: times.with,
        theirs: times.without,
        better: "lower",
        target: leastGain,
      }),
    );
  }
  log("going back to a file");
  rows.push(
    limitRow({
      id: "ghost text on going back to a file",
      unit: "ms",
      value: await goBack(bench, files),
      limit: longestReturn,
    }),
  );
  await engine.close();
  return { rows, versions: { "llama.cpp": pins.llamaCpp.version } };
}

/** Visits files one after the other, with a pause in each, and then each of them again. */
async function goBack(bench: Bench, files: readonly SourceFile[]): Promise<number> {
  const visited = files.slice(0, 4).map((file) => bench.own(file));
  for (const file of visited) {
    const begin = performance.now();
    await bench.prefillPlace(file, 0.5);
    const aheadMs = performance.now() - begin;
    await bench.complete(file, 0.5);
    await delay(rests * aheadMs);
  }
  const times: number[] = [];
  for (const file of visited) times.push(await bench.complete(file, 0.5));
  return median(times);
}

function question(content: string): ChatMessage[] {
  return [
    { role: "system", content: systemPrompt },
    { role: "user", content },
  ];
}

function excerptOf({ path, text }: SourceFile): CodeExcerpt {
  return { path, languageId: "typescript", code: text.slice(0, 3000) };
}

/** Source files, of which so much is taken that all are of one length. */
function sourceFiles(root: string): SourceFile[] {
  const folder = join(root, "src", "engine", "host");
  return readdirSync(folder)
    .map((name) => ({ path: `src/engine/host/${name}`, text: readFileSync(join(folder, name), "utf8") }))
    .filter(({ text }) => text.length >= fileLength)
    .map(({ path, text }) => ({ path, text: text.slice(0, fileLength) }));
}

/** A sample whose pause was not used says nothing of pauses. But for the beginning, its text is new. */
function checkWhole(result: AheadResult): void {
  if (result && result.computedTokens > 0.8 * result.promptTokens) return;
  throw new Error(`expected a context to be computed ahead, got ${JSON.stringify(result)}`);
}

class Bench {
  private copies = 0;

  constructor(
    private readonly engine: EngineUnderTest,
    private readonly model: string,
  ) {}

  /** The file with comments in it that no other copy has: nothing computed of another one is of use. */
  own({ path, text }: SourceFile): SourceFile {
    const mark = `v${String(++this.copies)}`;
    const lines = text.split("\n").map((line, index) => (index % everyLines === 0 ? `// ${mark}\n${line}` : line));
    return { path: `${mark}/${path}`, text: lines.join("\n") };
  }

  async prefillPlace(file: SourceFile, share: number): Promise<void> {
    const place = { ...this.place(file, share), reach: "whole", load: true } as const;
    checkWhole(await this.engine.client.request("completion/prefill", place));
  }

  complete(file: SourceFile, share: number): Promise<number> {
    return this.firstToken((onProgress) =>
      this.engine.client.request(
        "completion/complete",
        { ...this.place(file, share), maxTokens: 16, lines: "single" },
        { onProgress },
      ),
    );
  }

  async prefillChat(messages: ChatMessage[]): Promise<void> {
    const params = { model: this.model, messages, maxTokens: 8, wake: true };
    checkWhole(await this.engine.client.request("chat/prefill", params));
  }

  chat(messages: ChatMessage[]): Promise<number> {
    return this.firstToken((onProgress) =>
      this.engine.client.request(
        "chat/generate",
        { model: this.model, messages, maxTokens: 8, sampling: { temperature: 0 } },
        { onProgress },
      ),
    );
  }

  /** Of an answer without any text, the time to its end. */
  private async firstToken(request: (onProgress: () => void) => Promise<unknown>): Promise<number> {
    const begin = performance.now();
    const texts: number[] = [];
    await request(() => texts.push(performance.now() - begin));
    return texts[0] ?? performance.now() - begin;
  }

  /** At the end of a line, so far into the file. */
  private place({ path, text }: SourceFile, share: number) {
    const cursor = text.lastIndexOf("\n", Math.floor(text.length * share));
    const [prefix, suffix] = [text.slice(0, cursor), text.slice(cursor)];
    return { model: this.model, path, languageId: "typescript", prefix, suffix, extracts: [], maxTokens: 16 };
  }
}
