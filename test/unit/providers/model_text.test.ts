import { describe, expect, test } from "vitest";
import { samplingFromOptions } from "../../../src/providers/model_options";
import {
  byUsefulness,
  formatBytes,
  modelDetail,
  modelNote,
  progressMessage,
  recommendedModel,
  removable,
} from "../../../src/providers/model_text";
import type { DownloadProgress } from "../../../src/shared/download_progress";
import type { ModelState } from "../../../src/shared/models";

function model(ref: string, changes: Partial<ModelState> = {}): ModelState {
  return {
    ref,
    name: ref,
    roles: ["fast"],
    sizeBytes: 491_400_064,
    license: "Apache-2.0",
    licenseUrl: "https://www.apache.org/licenses/LICENSE-2.0",
    contextLength: 32_768,
    requiredBytes: 900_000_000,
    installed: false,
    path: "/models/a.gguf",
    partialBytes: 0,
    downloading: false,
    recommendedFor: [],
    fits: true,
    ...changes,
  };
}

describe("sizes", () => {
  function check(bytes: number, expected: string): void {
    test(`${bytes}`, () => {
      expect(formatBytes(bytes)).toBe(expected);
    });
  }

  check(0, "0 B");
  check(999, "999 B");
  check(1_000, "1.0 KB");
  check(999_499, "999 KB");
  check(999_500, "1.0 MB");
  check(491_400_064, "491 MB");
  check(1_117_320_768, "1.1 GB");
  check(9_000_000_000, "9.0 GB");
});

describe("models in lists", () => {
  function check(name: string, actual: unknown, expected: unknown): void {
    test(name, () => {
      expect(actual).toEqual(expected);
    });
  }

  check("detail", modelDetail(model("a")), "491 MB · ghost text · Apache-2.0");
  check("two roles", modelDetail(model("a", { roles: ["fast", "main"] })), "491 MB · ghost text and chat · Apache-2.0");
  check("a local file without a licence", modelDetail(model("a", { license: "" })), "491 MB · ghost text");
  check("nothing to note", modelNote(model("a")), "");
  check("installed", modelNote(model("a", { installed: true })), "installed");
  check("partly there", modelNote(model("a", { partialBytes: 1_000_000 })), "1.0 MB downloaded");
  check("downloading", modelNote(model("a", { partialBytes: 1_000_000, downloading: true })), "downloading");
  check(
    "recommended but too large",
    modelNote(model("a", { recommendedFor: ["main"], fits: false })),
    "recommended for chat, needs 900 MB of memory",
  );
  check(
    "order",
    [
      model("too large", { fits: false }),
      model("large", { sizeBytes: 9e9 }),
      model("small"),
      model("recommended", { recommendedFor: ["main"], sizeBytes: 5e9 }),
      model("installed", { installed: true, sizeBytes: 8e9 }),
    ]
      .sort(byUsefulness)
      .map(({ ref }) => ref),
    ["installed", "recommended", "small", "large", "too large"],
  );
  check(
    "removable: of the catalogue and on disk, whole or in part",
    removable([
      model("installed", { installed: true }),
      model("begun", { partialBytes: 1 }),
      model("not here"),
      model("/models/own.gguf", { installed: true, path: "/models/own.gguf", license: "" }),
    ]).map(({ ref }) => ref),
    ["installed", "begun"],
  );
  check(
    "ghost text is recommended first",
    recommendedModel([model("b", { recommendedFor: ["main"] }), model("a", { recommendedFor: ["fast"] })])?.ref,
    "a",
  );
  check("only a chat model", recommendedModel([model("b", { recommendedFor: ["main"] })])?.ref, "b");
  check("none", recommendedModel([model("b")]), undefined);
});

describe("the progress of a download", () => {
  function check(progress: Partial<DownloadProgress>, expected: string): void {
    test(JSON.stringify(progress), () => {
      const whole: DownloadProgress = {
        ref: "a",
        phase: "downloading",
        receivedBytes: 100_000_000,
        totalBytes: 400_000_000,
        bytesPerSecond: 10_000_000,
      };
      expect(progressMessage({ ...whole, ...progress })).toBe(expected);
    });
  }

  check({}, "100 MB of 400 MB, 10.0 MB/s, 30 s left");
  check({ phase: "copying", ref: "CUDA 13" }, "CUDA 13: 100 MB of 400 MB, 10.0 MB/s, 30 s left");
  check({ bytesPerSecond: 1_000_000 }, "100 MB of 400 MB, 1.0 MB/s, 5 min left");
  check({ bytesPerSecond: 30_000 }, "100 MB of 400 MB, 30.0 KB/s, 2.8 h left");
  check({ bytesPerSecond: 0 }, "100 MB of 400 MB");
  check({ phase: "connecting" }, "connecting");
  check({ phase: "verifying" }, "checking the file");
  check({ phase: "waiting" }, "waiting for the network");
  check({ phase: "waiting", message: "no connection, next try in 8 s" }, "no connection, next try in 8 s");
});

describe("options of other extensions", () => {
  function check(options: Record<string, unknown>, expected: ReturnType<typeof samplingFromOptions>): void {
    test(JSON.stringify(options), () => {
      expect(samplingFromOptions(options, 1_000)).toEqual(expected);
    });
  }

  check({}, { maxTokens: 1_000, sampling: {} });
  check({ temperature: 0.5, top_p: 0.9 }, { maxTokens: 1_000, sampling: { temperature: 0.5, topP: 0.9 } });
  check({ temperature: 9, topK: 2.6, seed: 7 }, { maxTokens: 1_000, sampling: { temperature: 2, topK: 3, seed: 7 } });
  check({ max_tokens: 64 }, { maxTokens: 64, sampling: {} });
  check({ max_tokens: 64_000 }, { maxTokens: 1_000, sampling: {} });
  check({ max_tokens: "64", temperature: null }, { maxTokens: 1_000, sampling: {} });
  check({ stop: "END" }, { maxTokens: 1_000, sampling: { stop: ["END"] } });
  check({ stop: ["a", 1, ""] }, { maxTokens: 1_000, sampling: { stop: ["a"] } });
});
