import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import baselines from "../../../native/system_baseline.json";
import pins from "../../../native/engine_libraries.json";
import manifest from "../../../package.json";
import { packCatalogue } from "../../../src/engine/packs/pack_catalogue";

const workflow = readFileSync(".github/workflows/release.yml", "utf8");

const all = (pattern: RegExp): string[] => [...workflow.matchAll(pattern)].map((match) => match[1] ?? "").sort();

it("builds for every platform that there are engine libraries and a baseline for", () => {
  const platforms = Object.keys(pins.platforms).sort();
  expect(all(/- target: (\S+)/g)).toEqual(platforms);
  expect(Object.keys(baselines).sort()).toEqual(platforms);
});

it("builds every pack of the catalogue, which a package carries, before the packages", () => {
  const built = [...workflow.matchAll(/- pack: (\S+)\n\s+target: (\S+)/g)].map(([, pack, target]) => [pack, target]);
  expect(built).toEqual(packCatalogue.map(({ id, platform }) => [id, platform]));
  expect(workflow).toMatch(/--pack \$\{\{ matrix\.pack \}\} --target \$\{\{ matrix\.target \}\} --check\n/);
  expect(workflow).toMatch(/\n {2}package:\n {4}needs: packs\n/);
  for (const { archive, id, platform } of packCatalogue) {
    const file = "artifacts/nmos-${{ matrix.pack }}-${{ matrix.target }}.nmospack";
    expect(workflow).toContain(file);
    expect(archive.file).toBe(`nmos-${id}-${platform}.nmospack`);
  }
  expect(workflow).toContain("sha256sum ./*.vsix ./*.nmospack");
});

it("gives the marketplace's token to one step, which installs nothing", () => {
  const steps = workflow.split(/\n {6}- /).filter((step) => step.includes("secrets.VSCE_PAT"));
  expect(steps).toHaveLength(1);
  expect(steps.join()).not.toMatch(/npm (ci|install)/);
});

it("tries the product in VS Code itself wherever there is a display, before it is packaged", () => {
  const steps = workflow.split(/\n {6}- /);
  const [inCode, plain, packaged] = [
    "--only electron --no-skips",
    "run.mjs test --no-skips",
    "artifacts/nmos-${{ matrix.target }}.vsix",
  ].map((part) => steps.findIndex((step) => step.includes(part)));
  expect([plain, inCode, packaged].toSorted((a = 0, b = 0) => a - b)).toEqual([plain, inCode, packaged]);
  expect(steps[inCode ?? -1]).toMatch(/^if: \$\{\{ !matrix\.container \}\}\n/);
  expect(workflow.match(/machine: (windows|macos)-\w+\n(?! {12}container)/g)).toHaveLength(2);
});

it("gives options to no command through npm where PowerShell may run it", () => {
  const [job = ""] = workflow.split(/\n {2}(?=\w+:\n)/).filter((one) => one.startsWith("package:\n"));
  expect(job).toContain("- target: win32-x64\n");
  expect(job.match(/node scripts\/run\.mjs (test|package) --/g)).toHaveLength(3);
  expect(job).not.toMatch(/run: npm .* -- /);
});

it("publishes in the marketplace what a published release holds that is no pre-release, and only then", () => {
  const jobs = workflow.split(/\n {2}(?=\w+:\n)/);
  const job = (name: string): string => jobs.find((one) => one.startsWith(`${name}:\n`)) ?? "";
  expect(workflow).toMatch(/\n {2}release:\n(?: {4}#.*\n)* {4}types: \[published, released\]\n/);
  expect(jobs.filter((one) => one.includes("vsce publish"))).toEqual([job("marketplace")]);
  expect(job("marketplace")).toContain("    if: github.event_name == 'release' && !github.event.release.prerelease\n");
  // Both events may come for one release.
  expect(job("marketplace")).toContain("    concurrency: marketplace-${{ github.ref_name }}\n");
  expect(job("marketplace")).toContain("npx vsce publish --skip-duplicate ");
  expect(job("marketplace")).toMatch(/gh release download .*SHA256SUMS\n.*\n.*sha256sum --check --strict/);
  // Nothing is built again for it; the other jobs need those.
  expect(job("packs")).toContain("    if: github.event_name != 'release'\n");
  expect([job("package"), job("draft")].map((one) => /\n {4}needs: (\w+)\n/.exec(one)?.[1])).toEqual([
    "packs",
    "package",
  ]);
  expect(job("draft")).toContain("gh release create");
  expect(job("draft")).toContain("--draft");
});

it("takes actions by their full hash, with the version beside it", () => {
  const actions = all(/uses: (.*)/g);
  expect(actions.length).toBeGreaterThan(0);
  expect(actions.filter((action) => !/^actions\/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/.test(action))).toEqual([]);
});

it("runs commands that package.json has", () => {
  const scripts = [...new Set(all(/run: (?:npm (?:run )?|node scripts\/run\.mjs )(?!ci )([a-z]+) (?:-- )?--/g))];
  expect(scripts).toEqual(["package", "test"]);
  expect(Object.keys(manifest.scripts)).toEqual(expect.arrayContaining(scripts));
});
