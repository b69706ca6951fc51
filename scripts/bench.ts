/**
 * `npm run bench -- NAME [--quick] [--device DEVICE --vram-limit MIB] [--json FILE] [--picture FILE]`: sets up what the benchmark
 * needs, runs it, prints a table and writes the result as JSON. Without a name it lists the benchmarks.
 */
import { writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import type { Benchmark, RealCard } from "../bench/benchmark";
import { benchmarks } from "../bench/benchmarks";
import { parseCard } from "../bench/memory/real_card";
import { describeCommit, describeMachine } from "../bench/harness/machine";
import { formatTable, writeReport, type Report } from "../bench/harness/report";
import { Stops } from "../bench/harness/stops";
import { bundle } from "../esbuild.js";
import { EngineError } from "../src/shared/errors";
import { buildNative } from "./setup/native_build";
import { runScript } from "./setup/run_script";

const root = fileURLToPath(new URL("..", import.meta.url));

interface BenchOptions {
  /** Null: list what there is. */
  benchmark: Benchmark | null;
  quick: boolean;
  json: string | undefined;
  picture: string | undefined;
  /** Null: simulated cards. */
  card: RealCard | null;
}

function parseOptions(): BenchOptions {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      quick: { type: "boolean", default: false },
      json: { type: "string" },
      picture: { type: "string" },
      device: { type: "string" },
      "vram-limit": { type: "string" },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  const { quick, json, picture } = values;
  const [name, ...others] = positionals;
  if (others.length > 0) {
    throw new EngineError("INVALID_ARGUMENT", `Expected the name of one benchmark, got ${positionals.join(" ")}.`);
  }
  const card = parseCard(values.device, values["vram-limit"]);
  if (values.help || name === undefined) return { benchmark: null, quick, json, picture, card };
  const benchmark = benchmarks.find((one) => one.name === name);
  if (!benchmark) throw new EngineError("INVALID_ARGUMENT", `There is no benchmark ${name}.\n${usage()}`);
  if (card && !benchmark.runsOnCards) {
    throw new EngineError("INVALID_ARGUMENT", `${name} does not run on real cards: leave --device out.`);
  }
  return { benchmark, quick, json, picture, card };
}

function usage(): string {
  const width = Math.max(...benchmarks.map(({ name }) => name.length));
  return [
    "npm run bench -- NAME [--quick] [--json FILE] [--picture FILE]",
    ...benchmarks.map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}`),
    "  --quick         fewer samples: under five minutes on two cores",
    "  --json FILE     writes the result there",
    "  --picture FILE  writes a picture of the run there, where the benchmark draws one",
    "  --device NAME --vram-limit MIB   runs on so much of a card of this machine, such as Vulkan0 (CUDA: bench/gpu.sh)",
  ].join("\n");
}

/**
 * Ctrl-C, or the end of the terminal, ends what the benchmark started and then this process. The returned function says
 * whether that has begun: what fails afterwards fails because of it.
 */
function stopOnSignals(stops: Stops): () => boolean {
  const statuses = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 };
  let interrupted = false;
  for (const [signal, status] of Object.entries(statuses)) {
    process.on(signal, () => {
      interrupted = true;
      void stops.run().finally(() => process.exit(status));
    });
  }
  return () => interrupted;
}

async function bench(): Promise<void> {
  const { benchmark, quick, json, picture, card } = parseOptions();
  if (!benchmark) {
    console.log(usage());
    return;
  }
  const file = json === undefined ? null : resolve(json);
  const pictureFile = picture === undefined ? null : resolve(picture);
  process.chdir(root);
  const stops = new Stops();
  const interrupted = stopOnSignals(stops);
  const log = (line: string): void => {
    console.error(`[${new Date().toTimeString().slice(0, 8)}] ${line}`);
  };
  try {
    await buildNative();
    await bundle();
    const commit = describeCommit();
    const result = await benchmark.run({ root, quick, stops, log, ...(card && { card }) });
    const { rows, versions, disturbedSamples, picture: drawn } = result;
    const onCard = card ? ["--device", card.device, "--vram-limit", String(card.vramLimitMiB)] : [];
    const command = ["npm run bench --", benchmark.name, ...(quick ? ["--quick"] : []), ...onCard].join(" ");
    const machine = describeMachine(versions, disturbedSamples);
    const report: Report = { name: benchmark.name, commit, machine, command, rows };
    console.log(formatTable(report));
    if (disturbedSamples) console.log(`${String(disturbedSamples)} samples were disturbed by other processes.`);
    if (file !== null) writeReport(file, report);
    if (pictureFile !== null && drawn === undefined)
      throw new Error(`The benchmark ${benchmark.name} draws no picture.`);
    if (pictureFile !== null && drawn !== undefined) writeFileSync(pictureFile, drawn);
  } catch (thrown) {
    if (!interrupted()) throw thrown;
  } finally {
    await stops.run();
  }
}

await runScript(bench);
