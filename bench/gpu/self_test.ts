import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createEngineClient } from "../../src/engine/client/create_engine_client";
import { DEFAULT_ENGINE_SETTINGS } from "../../src/shared/engine_settings";
import type { SelfTestStep } from "../../src/shared/machine_report";
import type { Stops } from "../harness/stops";
import type { Kit } from "./kit";
import { onlyCard } from "./only_card";

export interface SelfTestReport {
  steps: SelfTestStep[];
  /** The cards that models were on. */
  devices: string[];
  /** What the planner said of them. */
  explanations: string[];
}

/**
 * The command "NMOS: Run Self-Test", in an engine host of its own: addon, host and all between a window and the card. It sees
 * no other card than `device`, as far as that can be had (onlyCard), and what it says of it has the name that it has outside.
 */
export async function selfTest(
  { kit, model, device, vramLimitMiB }: { kit: Kit; model: string; device: string; vramLimitMiB: number },
  stops: Stops,
): Promise<SelfTestReport> {
  const home = mkdtempSync(join(tmpdir(), "nmos-self-test-"));
  const forget = stops.add(() => {
    rmSync(home, { recursive: true, force: true });
  });
  const seen = onlyCard(device, process.env);
  const client = createEngineClient({
    extensionRoot: kit.extension,
    clientName: "self-test",
    settings: { ...DEFAULT_ENGINE_SETTINGS, vramLimitMiB },
    env: { ...seen.env, NMOS_HOME: home },
  });
  try {
    const steps = await client.request("engine/selfTest", { models: { fast: model, main: model } });
    const { models } = await client.request("engine/status", { startEngine: false });
    // The file's name says enough.
    const asOutside = (text: string): string =>
      text.replaceAll(`${dirname(model)}/`, "").replaceAll(seen.device, device);
    return {
      steps: steps.map((step) => ({ ...step, detail: asOutside(step.detail) })),
      devices: [...new Set(models.flatMap(({ placement }) => placement.cards.map(({ device }) => asOutside(device))))],
      explanations: models.flatMap(({ placement }) => placement.explanation.map(asOutside)),
    };
  } finally {
    await client.endHost();
    client.dispose();
    await forget();
  }
}
