import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { ERROR_CODES } from "../../src/shared/errors";
import { root } from "./support";

const source = readFileSync(join(root, "native/core/runtime/engine_error.h"), "utf8");

describe("error codes", () => {
  it("are the same words in the core as in TypeScript, in the same order", () => {
    const native = [...source.matchAll(/return "([A-Z_]+)";/g)].map(([, code]) => code);
    expect(native.pop()).toBe("INTERNAL"); // what a value outside of the enumeration becomes
    expect(native.length).toBeGreaterThan(5);
    expect(ERROR_CODES.slice(0, native.length)).toEqual(native);
    expect(ERROR_CODES[native.length]).toBe("CANCELLED");
  });

  it("each have a name", () => {
    const [, body] = /enum class ErrorCode \{([^}]*)\}/.exec(source) ?? [];
    const members =
      body
        ?.split(",")
        .map((word) => word.trim())
        .filter(Boolean) ?? [];
    const named = [...source.matchAll(/case ErrorCode::(\w+): return "([A-Z_]+)"/g)];
    expect(named.map(([, member]) => member)).toEqual(members);
    for (const [, member, code] of named) {
      expect(code).toBe(member?.replace(/(?<=.)(?=[A-Z])/g, "_").toUpperCase());
    }
  });
});
