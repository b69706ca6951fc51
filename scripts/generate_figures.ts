/**
 * Writes the figures of README.md from the committed results in bench/results, so that nothing is claimed that was not
 * measured. `--check` writes nothing and fails when the table is stale.
 */
import { existsSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { format, resolveConfig } from "prettier";
import type { Report, Row } from "../bench/harness/report";

const root = fileURLToPath(new URL("..", import.meta.url));
const begin = "<!-- figures -->";
const end = "<!-- /figures -->";

/** The committed results, by name of the benchmark. */
export function readReports(directory = join(root, "bench", "results")): Report[] {
  if (!existsSync(directory)) return [];
  return readdirSync(directory)
    .filter((file) => file.endsWith(".json"))
    .sort()
    .map((file) => JSON.parse(readFileSync(join(directory, file), "utf8")) as Report);
}

/** What stands between the markers: for each benchmark a table of what is compared with something, and its conditions. */
export function figures(reports: readonly Report[]): string {
  if (reports.length === 0) return "No results are committed yet.";
  return reports.map((report) => `${table(report.rows)}\n\n${conditions(report)}`).join("\n\n");
}

/** A text with the part between the markers replaced. */
export function withFigures(readme: string, content: string): string {
  const from = readme.indexOf(begin);
  const to = readme.indexOf(end);
  if (from < 0 || to < from) throw new Error(`README.md needs the markers ${begin} and ${end}`);
  return `${readme.slice(0, from + begin.length)}\n\n${content}\n\n${readme.slice(to)}`;
}

function table(rows: readonly Row[]): string {
  const lines = rows.filter(({ peer }) => peer !== null).map((row) => `| ${cells(row).join(" | ")} |`);
  return ["| measured | NMOS | compared with | | ratio |", "| --- | ---: | --- | ---: | ---: |", ...lines].join("\n");
}

/** A limit has no ratio worth reading, nor has nothing: whether it is kept stands in the row itself. */
function cells({ id, value, unit, peer, peerValue, ratio }: Row): string[] {
  const theirs = peerValue === null ? "" : `${peerValue} ${unit}`;
  const isRatio = peer !== "limit" && ratio !== null && peerValue !== 0;
  const shown = isRatio ? ratio.toFixed(2) : "";
  return [id, `${value} ${unit}`, peer ?? "", theirs, shown];
}

function conditions({ command, commit, machine }: Report): string {
  const versions = Object.entries(machine.versions).map(([name, version]) => `${name} ${version.replace(/^v/, "")}`);
  const disturbed = machine.disturbedSamples ?? 0;
  return [
    `\`${command}\` at commit ${commit} on ${machine.physicalCores} cores of ${machine.cpu}, ${machine.memoryGiB} GiB,`,
    `${machine.os}; ${versions.join(", ")}.`,
    ...(disturbed > 0 ? [`Other processes disturbed ${disturbed} samples.`] : []),
  ].join(" ");
}

async function main(): Promise<void> {
  const file = join(root, "README.md");
  const readme = readFileSync(file, "utf8");
  const expected = await format(withFigures(readme, figures(readReports())), {
    ...(await resolveConfig(file)),
    filepath: file,
  });
  if (readme === expected) return;
  if (process.argv.includes("--check")) {
    console.error("The figures of README.md do not match bench/results; run `npm run generate`.");
    process.exitCode = 1;
  } else {
    writeFileSync(file, expected);
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main();
