/**
 * Runs inside an extension host, beside the installed extension: VS Code loads it and calls `run`. It uses the public
 * API only, so it sees NMOS as any other extension does.
 */
import { renameSync, writeFileSync } from "node:fs";
import { checks } from "./checks";
import { reportVariable, type SuiteReport } from "./suite_report";

export async function run(): Promise<void> {
  const report: SuiteReport = {};
  for (const [name, check] of Object.entries(checks)) {
    try {
      await check();
      report[name] = null;
    } catch (thrown) {
      report[name] = String(thrown);
    }
  }
  const file = process.env[reportVariable];
  if (!file) throw new Error(`Expected the name of a file in ${reportVariable}.`);
  // Renamed, because another process waits for the file and must not see half of it.
  writeFileSync(`${file}.new`, JSON.stringify(report));
  renameSync(`${file}.new`, file);
  const failed = Object.values(report).filter((error) => error !== null);
  if (failed.length > 0) throw new Error(failed.join("\n"));
}
