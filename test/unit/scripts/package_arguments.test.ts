import { describe, expect, test } from "vitest";
import { parsePackageArguments, type PackageRequest } from "../../../scripts/setup/package_arguments";
import { hostPlatform } from "../../../scripts/setup/engine_libraries";

describe("the command line of packaging", () => {
  const target = "win32-x64";
  const onWindows = ["--target", target];
  test.each<[args: string[], request: PackageRequest]>([
    [[], { kind: "extension", target: hostPlatform }],
    [onWindows, { kind: "extension", target }],
    [["--pack", "cuda13", ...onWindows], { kind: "packs", target, packs: ["cuda13"], check: false }],
    [["--pack", "cuda12", "--check", ...onWindows], { kind: "packs", target, packs: ["cuda12"], check: true }],
    [[...onWindows, "--archive"], { kind: "offline", target, packs: [], models: [] }],
    [
      [
        ...onWindows,
        "--archive",
        "--pack",
        "cuda13",
        "--pack",
        "cuda12",
        "--model",
        "smollm2-135m",
        "--pack",
        "cuda13",
      ],
      { kind: "offline", target, packs: ["cuda13", "cuda12"], models: ["smollm2-135m"] },
    ],
  ])("%j", (args, request) => {
    expect(parsePackageArguments(args)).toEqual(request);
  });

  test.each<[args: string[], says: string]>([
    [["--pack", "rocm", ...onWindows], "Expected --pack for win32-x64 to be one of cuda13, cuda12, got rocm."],
    [["--archive", "--pack", "cuda13", "--target", "darwin-arm64"], "for darwin-arm64 to be one of none, got cuda13."],
    [["--archive", "--model", "gpt"], "Expected --model to be one of qwen2.5-coder-0.5b, "],
    [["--model", "smollm2-135m"], "give --archive, too"],
    [["--check"], "--check is for packs"],
    [["--archive", "--check", ...onWindows, "--pack", "cuda13"], "--check is for packs"],
    [["--archve"], "--archve"],
    [["cuda13"], "cuda13"],
  ])("%j is refused", (args, says) => {
    expect(() => parsePackageArguments(args)).toThrow(says);
  });
});
