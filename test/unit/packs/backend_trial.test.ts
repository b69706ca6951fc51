import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { BackendTrial } from "../../../src/engine/packs/backend_trial";
import { temporaryDirectories } from "../models/temporary_directory";

const nobody = (): void => undefined;

const directory = temporaryDirectories();

/** Starts at these minutes, each of which ends without success unless it is marked, and whether each was allowed. */
function check(what: string, starts: (number | `${number} passed`)[], allowed: boolean[]): void {
  test(what, () => {
    const file = join(directory(), "cuda.trial");
    const results = starts.map((start) => {
      const trial = new BackendTrial(file, nobody, () => Number.parseFloat(String(start)) * 60_000);
      const mayTry = trial.begin();
      if (typeof start === "string") trial.passed();
      return mayTry;
    });
    expect(results).toEqual(allowed);
  });
}

describe("a backend", () => {
  check("that works is tried again and again", ["1 passed", "2 passed", "3 passed"], [true, true, true]);
  check("that crashes twice is left alone, for good", [1, 2, 3, 100_000], [true, true, false, false]);
  check("that works in between is not", [1, "2 passed", 3, 4], [true, true, true, true]);
  check("that ends with the machine day by day is not", [1, 1_441, 2_881, 4_321], [true, true, true, true]);

  test("of which something unreadable is kept is tried", () => {
    const file = join(directory(), "cuda.trial");
    for (const text of ["", "{", "null", '["a","b","c"]']) {
      writeFileSync(file, text);
      expect(new BackendTrial(file, nobody).begin()).toBe(true);
    }
  });
});
