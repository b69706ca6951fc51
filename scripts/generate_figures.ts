/**
 * Writes the figures of bench/README.md, and the few of them that README.md shows, from the committed results in
 * bench/results, so that nothing is claimed that was not measured. `--check` writes nothing and fails when one is stale.
 */
import { existsSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { format, resolveConfig } from "prettier";
import type { Report, Row } from "../bench/harness/report";

const root = fileURLToPath(new URL("..", import.meta.url));
const begin = "<!-- figures -->";
const end = "<!-- /figures -->";

/** What README.md shows: of each row the first comparison that its benchmark makes. */
const headlines: readonly Headline[] = [
  { label: "7B on a simulated GTX 1650: one token", report: "memory", id: "7B gtx1650-4gb decode" },
  { label: "14B on a simulated GTX 1650: one token", report: "memory", id: "14B gtx1650-4gb decode" },
  { label: "14B on a simulated RTX 4060 laptop: one token", report: "memory", id: "14B rtx4060-laptop-8gb decode" },
  {
    label: "7B on a simulated GTX 1650: rewriting code",
    report: "speculation-card",
    id: "7B gtx1650-4gb rewriting code",
  },
  {
    label: "7B on a simulated GTX 1650: chat about code",
    report: "speculation-card",
    id: "7B gtx1650-4gb chat about code in the prompt",
  },
  {
    label: "0.5B, two cores: lines completed exactly",
    report: "completion",
    id: "NMOS after a pause: lines completed exactly",
  },
  { label: "0.5B, two cores: explaining selected code", report: "first-token", id: "explaining selected code" },
  { label: "1.5B, two cores: tokens of an answer", report: "stack", id: "1.5B decode" },
];

export interface Headline {
  label: string;
  /** A benchmark. */
  report: string;
  /** A row of it. */
  id: string;
}

/** The committed results, by name of the benchmark. */
export function readReports(directory = join(root, "bench", "results")): Report[] {
  if (!existsSync(directory)) return [];
  return readdirSync(directory)
    .filter((file) => file.endsWith(".json"))
    .sort()
    .map((file) => JSON.parse(readFileSync(join(directory, file), "utf8")) as Report);
}

/** Benchmarks whose own figures are of interest where nothing is to be compared with. */
const shownWhole = new Set(["first-run"]);

/** What stands between the markers: for each benchmark a table of what is compared with something, and its conditions. */
export function figures(reports: readonly Report[]): string {
  if (reports.length === 0) return "No results are committed yet.";
  return reports
    .map(({ rows, ...report }) => {
      const shown = shownWhole.has(report.name) ? rows : rows.filter(({ peer }) => peer !== null);
      return `### ${report.name}\n\n${tableOf(shown)}\n\n${conditions(report)}`;
    })
    .join("\n\n");
}

/** Throws where a headline has no row: a benchmark has another name or other rows now. */
export function headlineTable(reports: readonly Report[], chosen: readonly Headline[] = headlines): string {
  return tableOf(
    chosen.map(({ label, report, id }) => {
      const rows = reports.find(({ name }) => name === report)?.rows ?? [];
      const row = rows.find((one) => one.id === id && one.peer !== null);
      if (!row) throw new Error(`bench/results has no comparison "${id}" of the benchmark ${report}`);
      return { ...row, id: label };
    }),
  );
}

/** A text with the part between the markers replaced. */
export function withFigures(readme: string, content: string): string {
  const from = readme.indexOf(begin);
  const to = readme.indexOf(end);
  if (from < 0 || to < from) throw new Error(`A README needs the markers ${begin} and ${end}`);
  return `${readme.slice(0, from + begin.length)}\n\n${content}\n\n${readme.slice(to)}`;
}

function tableOf(rows: readonly Row[]): string {
  const lines = rows.map((row) => `| ${cells(row).join(" | ")} |`);
  return ["| measured | NMOS | compared with | | ratio |", "| --- | ---: | --- | ---: | ---: |", ...lines].join("\n");
}

/** A limit has no ratio worth reading, nor has nothing: whether it is kept stands in the row itself. */
function cells({ id, value, unit, peer, peerValue, ratio }: Row): string[] {
  const theirs = peerValue === null ? "" : `${peerValue} ${unit}`;
  const isRatio = peer !== "limit" && ratio !== null && peerValue !== 0;
  const shown = isRatio ? ratio.toFixed(2) : "";
  return [id, `${value} ${unit}`, peer ?? "", theirs, shown];
}

function conditions({ command, commit, machine }: Omit<Report, "rows">): string {
  const versions = Object.entries(machine.versions).map(([name, version]) => `${name} ${version.replace(/^v/, "")}`);
  const disturbed = machine.disturbedSamples ?? 0;
  return [
    `\`${command}\` at commit ${commit} on ${machine.physicalCores} cores of ${machine.cpu}, ${machine.memoryGiB} GiB,`,
    `${machine.os}; ${versions.join(", ")}.`,
    ...(disturbed > 0 ? [`Other processes disturbed ${disturbed} samples.`] : []),
  ].join(" ");
}

async function main(): Promise<void> {
  const reports = readReports();
  for (const [name, content] of [
    ["README.md", headlineTable(reports)],
    ["bench/README.md", figures(reports)],
  ] as const) {
    const file = join(root, name);
    const text = readFileSync(file, "utf8");
    const options = { ...(await resolveConfig(file)), filepath: file };
    const expected = await format(withFigures(text, content), options);
    if (text === expected) continue;
    if (process.argv.includes("--check")) {
      console.error(`The figures of ${name} do not match bench/results; run \`npm run generate\`.`);
      process.exitCode = 1;
    } else {
      writeFileSync(file, expected);
    }
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main();
