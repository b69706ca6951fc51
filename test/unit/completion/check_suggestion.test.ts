import { expect, test } from "vitest";
import { checkSuggestion } from "../../../src/engine/completion/check_suggestion";
import type { CompletionCheckParams } from "../../../src/shared/completion";
import { FakeModelHandle, fakeModelInfo } from "../support/fake_model_handle";

const { signal } = new AbortController();
const params: CompletionCheckParams = {
  ...{ model: "fast", mainModel: "fake", path: "a.ts", languageId: "typescript", extracts: [], lines: "auto" },
  ...{ prefix: "let a;\r\nlet b = f", suffix: "\r\nlet c;", maxTokens: 64, suggestion: "oo(1);" },
};

function model(info: Parameters<typeof fakeModelInfo>[1]): FakeModelHandle {
  return new FakeModelHandle(fakeModelInfo(null, info), 4096, { text: "un(1);", finish: "stop" });
}

test("what another model suggests is the draft of this one, begun with the word at the cursor", async () => {
  const main = model({ fimPrefix: "<P>", fimSuffix: "<S>", fimMiddle: "<M>" });
  const checked = await checkSuggestion(main, params, { signal });
  expect(main.calls).toMatchObject([
    { prompt: "<P><S>\nlet c;<M>let a;\nlet b =", beginWith: " f", stop: ["\n"], priority: "warm" },
  ]);
  const draft = await main.detokenize(main.calls[0]?.draftTokens ?? new Int32Array());
  expect(draft).toBe(" foo(1);");
  expect(checked?.text).toBe("un(1);");
});

test("a model that was not trained to fill in is not asked", async () => {
  const main = model({});
  expect(await checkSuggestion(main, params, { signal })).toBeNull();
  expect(main.calls).toEqual([]);
});
