import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { catalogue } from "../../src/engine/models/catalogue";
import { writeOutline } from "../../src/engine/models/model_outline";
import type { PlanModelOptions } from "../../src/engine/native/addon";
import { expectCode, modelPath, openEngine } from "./support";

const engine = openEngine();
const directory = mkdtempSync(join(tmpdir(), "nmos-outline-"));
afterAll(() => {
  rmSync(directory, { recursive: true, force: true });
});

const plan: Omit<PlanModelOptions, "path"> = { contextLength: 1024, gpu: "off", threads: 1 };

function outline(id: string): string {
  const entry = catalogue.find((one) => one.id === id);
  const path = entry && writeOutline(entry, directory);
  if (!path) throw new Error(`There is no outline of ${id}.`);
  return path;
}

describe("an outline", () => {
  it("is planned as the model that it describes", async () => {
    const described = await engine.planModel({ ...plan, path: outline("smollm2-135m"), forecast: true });
    expect(described.predictedPasses.length).toBeGreaterThan(0);
    expect(described).toEqual(await engine.planModel({ ...plan, path: modelPath, forecast: true }));
  });

  it.each(catalogue.filter(({ sizeBytes }) => sizeBytes < 3e9))("of $id is understood", async ({ id, sizeBytes }) => {
    const { hostBytes, layers, predictedPasses } = await engine.planModel({
      ...{ ...plan, path: outline(id), forecast: true },
    });
    expect(layers).toBeGreaterThanOrEqual(24);
    expect(hostBytes).toBeGreaterThan(0.9 * sizeBytes);
    expect(predictedPasses[0]?.milliseconds).toBeGreaterThan(0);
  });

  it("is no model", async () => {
    const path = outline("smollm2-135m");
    await expectCode(engine.loadModel({ ...plan, path }), "MODEL_TRUNCATED", "should hold");
    await expectCode(engine.planModel({ ...plan, path }), "MODEL_TRUNCATED", "should hold");
    await expectCode(engine.summariseWeights({ path }), "MODEL_TRUNCATED", "should hold");
  });
});
