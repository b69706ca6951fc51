/**
 * What bench/gpu.sh runs on the machine with the card, from a kit (kit.ts): every step writes what it found to a file at
 * once, so that a run that is cut short leaves what was done.
 */
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { runScript } from "../../scripts/setup/run_script";
import { describeMachine, physicalCores } from "../harness/machine";
import { formatTable, writeReport, type Report, type Row } from "../harness/report";
import { programOutput, runProgram } from "../harness/run_program";
import { Stops } from "../harness/stops";
import { measureScenario, type MemoryTools } from "../memory/scenario";
import { cardModels, cardName, cardScenarios, parseCard } from "../memory/real_card";
import { driverVersions } from "./driver_versions";
import { kitIn, readVersions, type Kit } from "./kit";
import { selfTest } from "./self_test";

interface Run {
  kit: Kit;
  /** ggml's name of the card. */
  device: string;
  /** The card's own, as part of file names. */
  slug: string;
  out: string;
  /** MiB, at least one. */
  caps: [number, ...number[]];
  models: string[];
  quick: boolean;
  command: string;
  commit: string;
  versions: Record<string, string>;
  stops: Stops;
}

/** Beside those of the benchmark one that only tries the steps out, on whatever card. */
const models = [...cardModels, { shape: "tiny", label: "tiny", layers: 6, decodeTarget: 1 } as const];

const steps: Record<string, (run: Run) => Promise<void>> = {
  tests: runTests,
  bandwidth: measureBandwidth,
  exact: compareWidths,
  "self-test": runSelfTest,
  memory: runMemory,
};

await runScript(async () => {
  const options = parseOptions();
  const stops = new Stops();
  try {
    const run = await findCard(options, stops);
    const failures: string[] = [];
    for (const [name, step] of Object.entries(steps)) {
      if (!options.steps.includes(name)) continue;
      log(`step ${name}`);
      // One that fails says so in the end and keeps no other from being done: the machine may not be there again.
      await step(run).catch((thrown: unknown) => failures.push(`${name}: ${String(thrown)}`));
    }
    if (failures.length > 0) throw new Error(`Of the steps, these failed:\n${failures.join("\n")}`);
  } finally {
    await stops.run();
  }
});

function log(line: string): void {
  console.error(`[${new Date().toTimeString().slice(0, 8)}] ${line}`);
}

function parseOptions() {
  const text = { type: "string", default: "" } as const;
  const options = { kit: text, out: text, backend: text, device: text, caps: text, models: text, steps: text };
  const { values } = parseArgs({ options: { ...options, rounds: text, toolkit: text } });
  const list = (value: string): string[] => value.split(",").filter((one) => one !== "");
  const chosen = { caps: parseCaps(list(values.caps)), models: list(values.models), steps: list(values.steps) };
  const known = [...Object.keys(steps), "compile"];
  const unknown = chosen.steps.filter((step) => !known.includes(step));
  if (unknown.length > 0) throw new Error(`Expected steps out of ${known.join(", ")}, got ${unknown.join(", ")}.`);
  const strange = chosen.models.filter((label) => !models.some((model) => model.label === label));
  if (strange.length > 0) {
    throw new Error(
      `Expected models out of ${models.map(({ label }) => label).join(", ")}, got ${strange.join(", ")}.`,
    );
  }
  return { ...values, ...chosen };
}

function parseCaps(caps: readonly string[]): Run["caps"] {
  for (const cap of caps) parseCard("CUDA0", cap);
  const [first, ...others] = caps.map(Number);
  if (first === undefined) throw new Error("Expected MiB of graphics memory, as in --caps 4096,8192; got none.");
  return [first, ...others];
}

async function findCard(options: ReturnType<typeof parseOptions>, stops: Stops): Promise<Run> {
  const kit = kitIn(options.kit);
  const { output, errors } = await runProgram(kit.programs.cardProfile, [kit.libraries, "list"], stops);
  const cards = output.split("\n").flatMap((line) => {
    const [name, ...description] = line.split("\t");
    return name ? [{ name, description: description.join(" ") }] : [];
  });
  const ofBackend = cards.filter(({ name }) => name.toLowerCase().startsWith(options.backend));
  const card = ofBackend.find(({ name }) => options.device === "auto" || name === options.device);
  if (!card) {
    const found = cards.map(({ name }) => name).join(", ") || "none";
    throw new Error(`Expected a card of ${options.backend} (${options.device}), found ${found}. ${errors}`);
  }
  log(`${card.name}: ${card.description}`);
  mkdirSync(options.out, { recursive: true });
  const { commit, versions } = readVersions(kit);
  const { caps, out, backend } = options;
  const quick = options.rounds === "quick";
  const chosen = ["--backend", backend, "--caps", caps.join(","), "--models", options.models.join(",")];
  return {
    kit,
    device: card.name,
    slug: `${backend}-${card.description.toLowerCase().replace(/[^a-z0-9]+/g, "-")}`.slice(0, 60).replace(/-$/, ""),
    out,
    caps,
    models: options.models,
    quick,
    command: ["bench/gpu.sh run", ...chosen, ...(quick ? ["--rounds quick"] : [])].join(" "),
    commit,
    versions: { ...versions, ...(options.toolkit && { build: options.toolkit }), ...(await driverVersions(stops)) },
    stops,
  };
}

function write(run: Run, name: string, content: object): void {
  const { commit, command, slug } = run;
  const file = join(run.out, `${slug}-${name}.json`);
  const machine = describeMachine(run.versions);
  writeFileSync(file, `${JSON.stringify({ name, commit, machine, command, ...content }, undefined, 2)}\n`);
  log(`wrote ${file}`);
}

/** The core's tests, those of a real card on this one. */
async function runTests(run: Run): Promise<void> {
  const { kit, device, stops } = run;
  if (!existsSync(kit.smallModel)) throw new Error(`Expected ${kit.smallModel}, which is an archive of its own.`);
  const env = { NMOS_TEST_MODEL: kit.smallModel, NMOS_TEST_LIBRARIES: kit.libraries, NMOS_TEST_CARD: device };
  const { status, output, errors } = await runProgram(kit.programs.coreTests, [], stops, {
    env: { ...process.env, ...env },
  });
  const lines = output.split("\n");
  const failed = lines.filter((line, index) => /^FAILED/.test(line) || /^FAILED/.test(lines[index - 1] ?? ""));
  const [summary = ""] = lines.filter((line) => /^\d+ passed/.test(line));
  write(run, "tests", { device, status, summary, failed });
  if (status !== 0)
    throw new Error(`${summary || `ended with ${String(status)}`}: ${failed.join("\n")} ${errors.slice(-2000)}`);
}

async function measureBandwidth(run: Run): Promise<void> {
  const { kit, device, stops, caps } = run;
  const card = cardName({ device, vramLimitMiB: caps[0] });
  const args = [kit.libraries, card, String(physicalCores()), "512"];
  const output = await programOutput(kit.programs.cardProfile, args, stops);
  write(run, "profile", { device, profile: JSON.parse(output) as object });
}

/** Which passes compute what passes over one token each do: of a real model, whose tokens are not all alike. */
async function compareWidths(run: Run): Promise<void> {
  const { kit, device, stops, caps } = run;
  const card = cardName({ device, vramLimitMiB: caps[0] });
  const kinds: object[] = [];
  for (const kv of ["f16", "q8_0"]) {
    const args = [kit.libraries, kit.smallModel, card, kv, String(physicalCores())];
    kinds.push(JSON.parse(await programOutput(kit.programs.exactWidths, args, stops)) as object);
  }
  write(run, "exact", { device, kinds });
}

async function runSelfTest(run: Run): Promise<void> {
  const [label = "7B"] = run.models;
  const model = await syntheticModel(run, shapeOf(label));
  const found = await selfTest({ kit: run.kit, model, device: run.device, vramLimitMiB: run.caps[0] }, run.stops);
  write(run, "self-test", found);
  const failed = found.steps.filter(({ ok }) => !ok).map(({ name, detail }) => `${name}: ${detail}`);
  if (failed.length > 0) throw new Error(failed.join("\n"));
  if (!found.devices.includes(run.device)) {
    throw new Error(`Expected the model on ${run.device}, but it was on ${found.devices.join(", ") || "no card"}.`);
  }
}

async function runMemory(run: Run): Promise<void> {
  const failures: string[] = [];
  for (const cap of run.caps) {
    const rows: Row[] = [];
    const chosen = models.filter(({ label }) => run.models.includes(label));
    for (const scenario of cardScenarios({ device: run.device, vramLimitMiB: cap }, chosen)) {
      try {
        rows.push(...(await measureScenario({ log, ...run }, scenario, toolsOf(run))));
      } catch (thrown) {
        failures.push(`${scenario.label} ${scenario.card}: ${String(thrown)}`);
        log(failures.at(-1) ?? "");
      }
      if (rows.length === 0) continue;
      const { commit, command } = run;
      const report: Report = { name: "memory", commit, machine: describeMachine(run.versions), command, rows };
      writeReport(join(run.out, `${run.slug}-memory-${cap}.json`), report);
      console.log(formatTable(report));
    }
  }
  if (failures.length > 0) throw new Error(failures.join("\n"));
}

function toolsOf(run: Run): MemoryTools {
  const { kit } = run;
  const model = (shape: string) => syntheticModel(run, shape);
  return { passTimes: kit.programs.passTimes, libraries: kit.libraries, model };
}

function shapeOf(label: string): string {
  return models.find((model) => model.label === label)?.shape ?? label;
}

/** Written once. */
async function syntheticModel({ kit, stops }: Run, shape: string): Promise<string> {
  const path = join(kit.models, `${shape}.gguf`);
  if (existsSync(path)) return path;
  mkdirSync(kit.models, { recursive: true });
  log(`writing a synthetic ${shape}`);
  await programOutput(kit.programs.syntheticModel, [shape, kit.vocabulary, path], stops);
  return path;
}
