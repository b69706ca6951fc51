/** Downloads VS Code itself, installs the VSIX into a fresh profile and runs the suite in its extension host. */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { downloadAndUnzipVSCode, runTests, runVSCodeCommand } from "@vscode/test-electron";
import manifest from "../../package.json";
import { cacheDirectory } from "../../scripts/setup/cache";
import { MissingTool } from "../../scripts/setup/missing_tool";
import type { StepResult } from "../../scripts/setup/steps";
import { bundleSuite } from "./bundle_suite";
import { suiteSettings } from "./suite_settings";
import { reportVariable, type SuiteReport } from "./suite_report";

/** The oldest version the extension claims to work with; newer ones are tested in the browser edition. */
const version = manifest.engines.vscode.replace(/^\D+/, "");

export async function runInElectron(vsix: string): Promise<StepResult> {
  if (process.platform === "linux" && !process.env["DISPLAY"] && !process.env["WAYLAND_DISPLAY"]) {
    throw new MissingTool("VS Code needs a display: run this part under xvfb-run or in a desktop session.");
  }
  const cachePath = cacheDirectory("vscode");
  const vscodeExecutablePath = await download(cachePath);
  const suite = await bundleSuite();
  const scratch = mkdtempSync(join(tmpdir(), "nmos-electron-"));
  try {
    const profile = ["--user-data-dir", join(scratch, "user"), "--extensions-dir", join(scratch, "extensions")];
    const settingsFile = join(scratch, "user", "User", "settings.json");
    mkdirSync(dirname(settingsFile), { recursive: true });
    writeFileSync(settingsFile, JSON.stringify(suiteSettings()));
    await runVSCodeCommand([...profile, "--install-extension", vsix], { version, cachePath });

    const reportFile = join(scratch, "report.json");
    const ended = await runTests({
      vscodeExecutablePath,
      extensionDevelopmentPath: suite.directory,
      extensionTestsPath: suite.tests,
      extensionTestsEnv: { [reportVariable]: reportFile, NMOS_HOME: join(scratch, "nmos") },
      launchArgs: [...profile, "--disable-workspace-trust", "--skip-welcome", "--skip-release-notes"],
    }).catch((thrown: unknown) => thrown);
    if (!existsSync(reportFile)) throw new Error(`VS Code ended without a report: ${String(ended)}`);
    return count(JSON.parse(readFileSync(reportFile, "utf8")) as SuiteReport);
  } finally {
    rmSync(scratch, { recursive: true, force: true, maxRetries: 5 });
  }
}

async function download(cachePath: string): Promise<string> {
  try {
    return await downloadAndUnzipVSCode({ version, cachePath });
  } catch (thrown) {
    throw new MissingTool(`VS Code ${version} could not be downloaded: ${String(thrown)}`);
  }
}

function count(report: SuiteReport): StepResult {
  const failures = Object.entries(report).filter(([, error]) => error !== null);
  for (const [name, error] of failures) console.error(`failed: ${name}: ${error ?? ""}`);
  return { passed: Object.keys(report).length - failures.length, failed: failures.length, skipped: [] };
}
