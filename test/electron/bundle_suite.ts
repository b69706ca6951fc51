import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const root = fileURLToPath(new URL("../..", import.meta.url));

export interface SuiteExtension {
  /** Folder of an extension that does nothing, for extensionDevelopmentPath. */
  directory: string;
  /** The suite, for extensionTestsPath. */
  tests: string;
}

/**
 * Bundles the suite into an extension of its own. VS Code runs tests only beside an extension under development, and
 * NMOS itself is to be the installed one.
 */
export async function bundleSuite(): Promise<SuiteExtension> {
  const directory = join(root, "build", "electron_suite");
  const tests = join(directory, "suite.js");
  mkdirSync(directory, { recursive: true });
  const manifest = { name: "suite", publisher: "nmos-tests", version: "1.0.0", engines: { vscode: "*" } };
  writeFileSync(join(directory, "package.json"), JSON.stringify(manifest));
  await build({
    entryPoints: [join(root, "test/electron/suite.ts")],
    outfile: tests,
    bundle: true,
    platform: "node",
    target: "node20",
    format: "cjs",
    external: ["vscode"],
    logLevel: "warning",
  });
  return { directory, tests };
}
