/**
 * From nothing to the first ghost text: a new profile of a real VS Code (code-server), the packaged extension, a model from a
 * server of this machine that sends no faster than an ordinary connection. Everything is really run, by the clicks of a user,
 * but for the download of the package, whose bytes are counted. The peer's set-up is counted from what it documents.
 */
import { mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ensureModel } from "../../scripts/fetch_model";
import { packageExtension } from "../../scripts/package";
import { recommend } from "../../src/engine/models/recommend";
import { catalogue } from "../../src/engine/models/catalogue";
import { modelsDirectory } from "../../src/engine/paths";
import { startModelMirror } from "../../test/e2e/model_mirror";
import { Product } from "../../test/e2e/product";
import type { Benchmark, BenchmarkContext, BenchmarkResult } from "../benchmark";
import { plainRow, singleRow, type Row } from "../harness/report";
import { median } from "../harness/statistics";
import { llamaVscodeDownloads, llamaVscodeSteps, llamaVscodeVersion } from "../peers/llama_vscode_setup";

/** Bits a second of the connection. */
const usualRate = 100e6;
const quickRate = 1e9;

/** What a user does, a click, a key or a command each, until ghost text can come. Typing is what it is for, on both sides. */
const steps = ["install the extension", "click on Download in its message"];

/** Milliseconds a download may take before it counts as hung. */
const downloadPatience = 600_000;

export const firstRunBenchmark: Benchmark = {
  name: "first-run",
  summary: "from a new profile to the first ghost text: seconds, bytes and actions of the user",
  run: runFirstRun,
};

interface FirstRun {
  /** Seconds, one behind the other. */
  ready: number;
  downloaded: number;
  suggested: number;
  /** Of the model. */
  bytes: number;
}

async function runFirstRun({ quick, stops, log }: BenchmarkContext): Promise<BenchmarkResult> {
  const rate = quick ? quickRate : usualRate;
  const vsix = await packageExtension();
  const runs: FirstRun[] = [];
  for (let run = 1; run <= (quick ? 1 : 3); ++run) {
    log(`run ${String(run)}`);
    runs.push(await oneRun(rate / 8, stops));
  }
  const versions = { "llama.vscode": llamaVscodeVersion };
  return { rows: rowsOf(runs, rate, vsix.bytes), versions };
}

async function oneRun(bytesPerSecond: number, stops: BenchmarkContext["stops"]): Promise<FirstRun> {
  // What the message offers on this machine is chosen by its memory; both that it may be have to be there.
  for (const memory of [8, 64]) await ensureModel(recommend(catalogue, "fast", memory * 2 ** 30) ?? "");
  const models = mkdtempSync(join(tmpdir(), "nmos-first-run-"));
  const forgetModels = stops.add(() => {
    rmSync(models, { recursive: true, force: true });
  });
  const mirror = await startModelMirror(modelsDirectory(), { bytesPerSecond });
  const closeMirror = stops.add(mirror.close);
  const begun = performance.now();
  const product = await Product.start({
    files: { "add.py": "def add(a, b):\n    return" },
    settings: {
      "nmos.completion.model": "auto",
      "nmos.engine.modelsDirectory": models,
      "nmos.download.mirror": mirror.url,
    },
  });
  const stopProduct = stops.add(() => product.stop());
  try {
    const window = await product.openWindow();
    const offer = window.notification("NMOS needs a language model").first();
    const download = offer.getByRole("button", { name: /^Download \(/ });
    await download.waitFor();
    const ready = performance.now();
    await download.click();
    await window.notification("is installed").first().waitFor({ timeout: downloadPatience });
    const downloaded = performance.now();
    await window.openFile("add.py");
    await window.goToEnd();
    const typed = performance.now();
    await window.type(" ");
    await window.ghostTextShown();
    const suggested = performance.now();
    const [file] = readdirSync(models).filter((name) => name.endsWith(".gguf"));
    const seconds = (from: number, to: number) => (to - from) / 1000;
    return {
      ready: seconds(begun, ready),
      downloaded: seconds(ready, downloaded),
      suggested: seconds(typed, suggested),
      bytes: statSync(join(models, file ?? "")).size,
    };
  } finally {
    await stopProduct();
    await closeMirror();
    await forgetModels();
  }
}

function rowsOf(runs: readonly FirstRun[], bitsPerSecond: number, packageBytes: number): Row[] {
  const middle = (valueOf: (run: FirstRun) => number) => median(runs.map(valueOf));
  const bytes = packageBytes + (runs[0]?.bytes ?? 0);
  const speed = `${String(bitsPerSecond / 1e6)} Mbit/s`;
  return [
    ...llamaVscodeDownloads.map(({ what, bytes: theirs }) =>
      singleRow({
        ...{ id: "package and model fetched", unit: "MB", peer: what, better: "lower", target: null },
        ...{ ours: bytes / 1e6, theirs: theirs / 1e6 },
      }),
    ),
    singleRow({
      ...{ id: "actions of the user until ghost text can come", unit: "", peer: "llama.vscode, counted" },
      ...{ better: "lower", target: null, ours: steps.length, theirs: llamaVscodeSteps.length },
    }),
    plainRow({ id: "installing, to the offer of a model", unit: "s", value: middle(({ ready }) => ready) }),
    plainRow({ id: `downloading and checking it at ${speed}`, unit: "s", value: middle((run) => run.downloaded) }),
    plainRow({ id: "first key, loading, to ghost text", unit: "s", value: middle((run) => run.suggested) }),
    plainRow({
      id: "all of it, without the user's own time",
      unit: "s",
      value: middle((run) => run.ready + run.downloaded + run.suggested),
    }),
  ];
}
