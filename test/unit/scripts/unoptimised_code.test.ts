import { expect, it } from "vitest";
import { isUnoptimised } from "../../../scripts/setup/unoptimised_code";

/** Adds two numbers, as clang compiles that for Windows without being told to optimise, and with -O2. */
const [kept, optimised] = ["4883ec0889542404890c248b04240344240459c3", "8d0411c3"].map((code) =>
  Buffer.from(code, "hex"),
);

it.each<[what: string, code: Buffer | undefined, expected: boolean]>([
  ["keeps every variable on the stack", kept, true],
  ["keeps them in registers", optimised, false],
])("code that %s", (_, code, expected) => {
  expect(isUnoptimised(code ?? Buffer.alloc(0))).toBe(expected);
});
