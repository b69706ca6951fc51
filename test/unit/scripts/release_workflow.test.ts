import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import baselines from "../../../native/system_baseline.json";
import pins from "../../../native/engine_libraries.json";
import manifest from "../../../package.json";

const workflow = readFileSync(".github/workflows/release.yml", "utf8");

const all = (pattern: RegExp): string[] => [...workflow.matchAll(pattern)].map((match) => match[1] ?? "").sort();

it("builds for every platform that there are engine libraries and a baseline for", () => {
  const platforms = Object.keys(pins.platforms).sort();
  expect(all(/- target: (\S+)/g)).toEqual(platforms);
  expect(Object.keys(baselines).sort()).toEqual(platforms);
});

it("takes actions by their full hash, with the version beside it", () => {
  const actions = all(/uses: (.*)/g);
  expect(actions.length).toBeGreaterThan(0);
  expect(actions.filter((action) => !/^actions\/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/.test(action))).toEqual([]);
});

it("runs commands that package.json has", () => {
  const scripts = all(/npm (?:run )?(test|package|[a-z]+) --/g);
  expect(scripts).toEqual(["package", "test"]);
  expect(Object.keys(manifest.scripts)).toEqual(expect.arrayContaining(scripts));
});
