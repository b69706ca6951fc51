import { readdirSync, rmSync, symlinkSync } from "node:fs";
import { dirname, join } from "node:path";
import { WindowsMachine } from "../../test/packaged/windows_machine";
import { crossBuildCoreTests } from "./cross_build";
import type { StepResult } from "./steps";

/**
 * What depends on the system: libraries, files, memory, threads. The others compute what they compute on this system, and take
 * several times as long here.
 */
const areas = [
  ...["backends", "engine", "lost_device", "model_profile", "paging", "profile_cache"],
  ...["scheduler", "session", "uploader", "worker"],
];

/**
 * Runs those of the core's own tests as a program of Windows under Wine, each area by itself, so that a crash takes one with it.
 * Throws MissingTool where there is no compiler for Windows or no Wine.
 */
export async function runCoreTestsUnderWine(model: string): Promise<StepResult> {
  const { program, libraries } = await crossBuildCoreTests();
  const machine = await WindowsMachine.start();
  const total: StepResult = { passed: 0, failed: 0, skipped: [] };
  try {
    const folder = dirname(program);
    linkInto(folder, libraries);
    const environment = { NMOS_TEST_MODEL: machine.pathOf(model), NMOS_TEST_LIBRARIES: machine.pathOf(libraries) };
    for (const area of areas) {
      const { status, output } = await machine.runProgram([program, area], folder, environment);
      console.log(output.trimEnd());
      const counts = /^(\d+) passed, (\d+) failed\s*$/m.exec(output);
      total.passed += Number(counts?.[1] ?? 0);
      total.failed += Number(counts?.[2] ?? 0);
      if (counts && (status === 0) === (counts[2] === "0")) continue;
      console.log(`the tests of ${area} ended with ${String(status)}`);
      total.failed += 1;
    }
  } finally {
    await machine.close();
  }
  return total;
}

/** What a program imports is looked for beside it before Wine's own libraries. */
function linkInto(folder: string, libraries: string): void {
  for (const name of readdirSync(libraries)) {
    const link = join(folder, name);
    rmSync(link, { force: true });
    symlinkSync(join(libraries, name), link);
  }
}
