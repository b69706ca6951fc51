import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createEngineClient } from "../../src/engine/client/create_engine_client";
import { DEFAULT_ENGINE_SETTINGS, type SelfTestStep } from "../../src/shared/protocol";
import type { Stops } from "../harness/stops";
import type { Kit } from "./kit";

export interface SelfTestReport {
  steps: SelfTestStep[];
  /** Where the models were. */
  devices: string[];
  /** What the planner said of them. */
  explanations: string[];
}

/** The command "NMOS: Run Self-Test", in an engine host of its own: addon, host and all between a window and the card. */
export async function selfTest(
  { kit, model, vramLimitMiB }: { kit: Kit; model: string; vramLimitMiB: number },
  stops: Stops,
): Promise<SelfTestReport> {
  const home = mkdtempSync(join(tmpdir(), "nmos-self-test-"));
  const forget = stops.add(() => {
    rmSync(home, { recursive: true, force: true });
  });
  const client = createEngineClient({
    extensionRoot: kit.extension,
    clientName: "self-test",
    settings: { ...DEFAULT_ENGINE_SETTINGS, vramLimitMiB },
    env: { ...process.env, NMOS_HOME: home },
  });
  try {
    const steps = await client.request("engine/selfTest", { models: { fast: model, main: model } });
    const { models } = await client.request("engine/status", { startEngine: false });
    // The file's name says enough.
    const withoutFolder = (text: string): string => text.replaceAll(`${dirname(model)}/`, "");
    return {
      steps: steps.map((step) => ({ ...step, detail: withoutFolder(step.detail) })),
      devices: [...new Set(models.map(({ placement }) => placement.device))],
      explanations: models.flatMap(({ placement }) => placement.explanation),
    };
  } finally {
    await client.endHost();
    client.dispose();
    await forget();
  }
}
