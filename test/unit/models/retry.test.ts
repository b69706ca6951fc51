import { describe, expect, it } from "vitest";
import { writeError } from "../../../src/engine/models/disk_space";
import { defaultTiming, Patience, pauseAfter } from "../../../src/engine/models/retry";

describe("the pause after a failure", () => {
  const cases: [failures: number, asked: number | null, random: number, milliseconds: number][] = [
    [1, null, 0, 500],
    [1, null, 1, 1_000],
    [2, null, 1, 2_000],
    [3, null, 0.5, 3_000],
    [7, null, 1, 60_000],
    [100, null, 1, 60_000],
    [1, 0, 0, 500],
    [1, 5_000, 1, 5_000],
    [1, 120_000, 0, 120_000],
    [1, 86_400_000, 0, 600_000],
  ];

  it.each(cases)("%i failures, asked %s, chance %d: %i ms", (failures, asked, random, milliseconds) => {
    expect(pauseAfter(failures, asked, defaultTiming, () => random)).toBe(milliseconds);
  });
});

describe("patience", () => {
  /** Numbers are positions reached, `x` a failure; the result is what each failure decided. */
  const cases: [events: (number | "x")[], over: boolean[]][] = [
    [
      ["x", "x", "x"],
      [false, false, true],
    ],
    [
      ["x", "x", 5, "x", "x", "x"],
      [false, false, false, false, true],
    ],
    [
      [5, "x", 3, "x", 5, "x"],
      [false, false, true],
    ],
    [
      [5, "x", 6, "x", 7, "x", 8, "x"],
      [false, false, false, false],
    ],
  ];

  it.each(cases)("%j", (events, over) => {
    const patience = new Patience(3);
    const decided: boolean[] = [];
    for (const event of events) {
      if (event === "x") decided.push(patience.fail());
      else patience.reached(event);
    }
    expect(decided).toEqual(over);
  });
});

describe("what the system says of a file that cannot be written", () => {
  const cases: [code: string, becomes: string | null, says: RegExp][] = [
    ["ENOSPC", "DISK_FULL", /no room for \/m\.gguf.*nmos\.engine\.modelsDirectory/],
    ["EDQUOT", "DISK_FULL", /no room/],
    ["EFBIG", "DISK_FULL", /no file that large/],
    ["EACCES", "DOWNLOAD_FAILED", /m\.gguf cannot be written \(EACCES\).*permissions/],
    ["EROFS", "DOWNLOAD_FAILED", /cannot be written/],
    ["ECONNRESET", null, /./],
  ];

  it.each(cases)("%s is %s", (code, becomes, says) => {
    const error = writeError(Object.assign(new Error("system"), { code }), "/m.gguf");
    expect(error?.code ?? null).toBe(becomes);
    if (error) expect(error.message).toMatch(says);
  });
});
