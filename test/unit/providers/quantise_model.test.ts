import { beforeEach, describe, expect, test, vi } from "vitest";
import type { EngineClient } from "../../../src/engine/client/engine_client";
import {
  offerDetail,
  quantisable,
  quantiseProgressText,
  questionsOf,
  resultText,
} from "../../../src/providers/quantise_text";
import { EngineError } from "../../../src/shared/errors";
import type { ModelState } from "../../../src/shared/models";
import type { QuantiseOffer, QuantisePlan, QuantiseResult } from "../../../src/shared/quantise";
import { commands, fake } from "./fake_vscode";

/** What the user picks and answers, first to last; `shown` is what the lists had. */
const user = vi.hoisted(() => ({
  picks: [] as (string | undefined)[],
  answers: [] as (string | undefined)[],
  file: "",
  shown: [] as string[][],
  updates: [] as unknown[][],
}));

vi.mock("vscode", async () => {
  const base = await import("./fake_vscode");
  const ask = (text: string) => {
    base.fake.messages.push(text);
    return Promise.resolve(user.answers.shift());
  };
  const window = {
    ...base.window,
    showInformationMessage: ask,
    showWarningMessage: ask,
    showErrorMessage: ask,
    showOpenDialog: () => Promise.resolve(user.file === "" ? undefined : [{ fsPath: user.file }]),
    showQuickPick: (items: { label: string; detail?: string }[]) => {
      user.shown.push(items.map(({ label, detail = "" }) => `${label}: ${detail}`));
      const pick = user.picks.shift();
      return Promise.resolve(pick === undefined ? undefined : items.find(({ label }) => label.includes(pick)));
    },
  };
  const update = (...given: unknown[]) => Promise.resolve(void user.updates.push(given));
  return {
    ...base,
    window,
    workspace: { ...base.workspace, getConfiguration: () => ({ update }) },
    ConfigurationTarget: { Global: 1 },
    ProgressLocation: { Notification: 15 },
  };
});

const { registerQuantiseModel } = await import("../../../src/providers/quantise_model");

const offer: QuantiseOffer = {
  type: "Q4_K_M",
  sizeBytes: 4.4e9,
  target: "/models/Own-Q4_K_M.gguf",
  targetExists: false,
  refusal: "",
};

const plan: QuantisePlan = {
  type: "f16",
  sizeBytes: 15e9,
  losesQuality: false,
  offers: [{ ...offer, type: "Q8_0", sizeBytes: 8e9, refusal: "The model is Q8_0 already." }, offer],
};

const result: QuantiseResult = { path: offer.target, sizeBytes: 4.4e9, meanKl: 0.0512, sameTop: 0.934 };

const own = { ref: "/models/Own-F16.gguf", path: "/models/Own-F16.gguf", name: "Own-F16", sizeBytes: 15e9 };

interface Machine {
  models: Partial<ModelState>[];
  plan: Partial<QuantisePlan>;
  failure: EngineError;
}

/** Runs the command; resolves with the parameters of what was quantised. */
async function run(given: Partial<Machine>, ...args: unknown[]): Promise<unknown[]> {
  const asked: unknown[] = [];
  const engine = {
    request: (method: string, params: unknown) => {
      if (method === "models/list") return Promise.resolve(given.models ?? [{ ...own, installed: true }]);
      if (method === "models/planQuantise") return Promise.resolve({ ...plan, ...given.plan });
      asked.push(params);
      return given.failure ? Promise.reject(given.failure) : Promise.resolve(result);
    },
  };
  const client: unknown = engine;
  const registered = registerQuantiseModel(client as EngineClient);
  await commands.executeCommand("nmos.quantiseModel", ...args);
  registered.dispose();
  return asked;
}

beforeEach(() => {
  fake.reset();
  Object.assign(user, { picks: [], answers: [], file: "", shown: [], updates: [] });
});

describe("the command", () => {
  test("asks for a model and a type, says what came of it and offers to use it", async () => {
    user.picks = ["Own-F16", "Q4_K_M"];
    user.answers = ["Use for Chat"];
    expect(await run({})).toEqual([{ path: own.path, type: "Q4_K_M", lossAccepted: false, replace: false }]);
    expect(fake.messages).toEqual([resultText(result, offer)]);
    expect(user.updates).toEqual([["chat.model", result.path, 1]]);
  });

  test("sets the model of ghost text", async () => {
    user.picks = ["Q4_K_M"];
    user.answers = ["Use for Ghost Text"];
    await run({}, "/elsewhere/a.gguf");
    expect(user.updates).toEqual([["completion.model", result.path, 1]]);
  });

  test("takes any file, at once where the models folder has none", async () => {
    user.file = "/elsewhere/a.gguf";
    user.picks = ["Q4_K_M"];
    expect(await run({ models: [] })).toMatchObject([{ path: "/elsewhere/a.gguf" }]);
    user.picks = ["Choose a GGUF file", "Q4_K_M"];
    expect(await run({})).toMatchObject([{ path: "/elsewhere/a.gguf" }]);
  });

  test.each([
    ["model", []],
    ["type", ["Own-F16"]],
    ["file", ["Choose a GGUF file"]],
  ])("does nothing when no %s is chosen", async (_, picks) => {
    user.picks = picks;
    expect(await run({})).toEqual([]);
  });

  test("shows what is refused and why", async () => {
    user.picks = ["Own-F16", "Q8_0"];
    expect(await run({})).toEqual([]);
    expect(user.shown[1]?.[0]).toBe("$(circle-slash) Q8_0: The model is Q8_0 already.");
    expect(fake.messages).toEqual(["The model is Q8_0 already."]);
  });

  test("asks before quality is lost or a file replaced", async () => {
    const both = { plan: { type: "q5_K", losesQuality: true, offers: [{ ...offer, targetExists: true }] } };
    user.picks = ["Own-F16", "Q4_K_M"];
    user.answers = ["Quantise Anyway", "Replace"];
    expect(await run(both)).toMatchObject([{ lossAccepted: true, replace: true }]);
    for (const answers of [[], ["Quantise Anyway"]]) {
      user.picks = ["Own-F16", "Q4_K_M"];
      user.answers = answers;
      expect(await run(both)).toEqual([]);
    }
  });

  test("says why it failed, and nothing of a cancellation", async () => {
    user.picks = ["Own-F16", "Q4_K_M", "Own-F16", "Q4_K_M"];
    await run({ failure: new EngineError("QUALITY_TOO_LOW", "It was removed.") });
    expect(fake.messages).toEqual(["The model was not quantised: It was removed."]);
    await run({ failure: new EngineError("CANCELLED", "The request was cancelled.") });
    expect(fake.messages).toHaveLength(1);
  });
});

describe("texts", () => {
  test("of offers", () => {
    expect(offerDetail(offer)).toBe("4.4 GB · the usual choice: small, with little loss");
    expect(offerDetail({ ...offer, targetExists: true })).toContain("replaces the file that is there");
    expect(offerDetail({ ...offer, refusal: "No." })).toBe("No.");
  });

  test("of questions", () => {
    expect(questionsOf(plan, offer)).toEqual([]);
    expect(questionsOf({ ...plan, losesQuality: true }, offer)[0]?.detail).toContain("Re-quantising loses quality");
    expect(questionsOf(plan, { ...offer, targetExists: true })[0]?.detail).toBe(offer.target);
  });

  test("of progress", () => {
    expect(quantiseProgressText({ phase: "quantising", fraction: 0.429 })).toBe("writing, 42%");
    expect(quantiseProgressText({ phase: "checking", fraction: 0 })).toContain("comparing");
    expect(quantiseProgressText({ phase: "trying", fraction: 0 })).toBe("computing with the source");
  });

  test("of results", () => {
    expect(resultText(result, offer)).toBe(
      "The model is 4.4 GB as Q4_K_M. It prefers the same token as its source in 93% of a short text (KL divergence 0.051).",
    );
    expect(resultText({ ...result, meanKl: null, sameTop: null }, offer)).toContain(
      "It finds plain text probable; its source was too large to compare",
    );
    expect(resultText({ ...result, path: "/models/Own-2.gguf" }, offer)).toContain("It is /models/Own-2.gguf, because");
  });

  test("of models: only files of the user's own, the largest first", () => {
    const state = (given: Partial<ModelState>) => ({ installed: true, ...given }) as ModelState;
    const small = state({ ref: "/b", path: "/b", sizeBytes: 1 });
    const large = state({ ref: "/a", path: "/a", sizeBytes: 2 });
    const ofCatalogue = state({ ref: "qwen", path: "/c", sizeBytes: 3 });
    expect(quantisable([small, ofCatalogue, large])).toEqual([large, small]);
  });
});
