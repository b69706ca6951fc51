import { describe, expect, test } from "vitest";
import {
  booleanMap,
  booleanValue,
  choiceValue,
  numberValue,
  stringList,
  stringValue,
} from "../../../src/config/setting_values";

describe("values of settings", () => {
  function check(name: string, actual: unknown, expected: unknown): void {
    test(name, () => {
      expect(actual).toEqual(expected);
    });
  }
  const gpu = ["auto", "off"] as const;
  const tokens = { minimum: 8, maximum: 512, integer: true };

  check("boolean", booleanValue(false, true), false);
  check("boolean of the wrong type", booleanValue("false", true), true);
  check("string", stringValue("a", "b"), "a");
  check("string of the wrong type", stringValue(1, "b"), "b");
  check("choice", choiceValue("off", gpu, "auto"), "off");
  check("unknown choice", choiceValue("cuda", gpu, "auto"), "auto");
  check("number", numberValue(96, 64, tokens), 96);
  check("number below", numberValue(1, 64, tokens), 8);
  check("number above", numberValue(4096, 64, tokens), 512);
  check("fraction of an integer", numberValue(9.6, 64, tokens), 10);
  check("fraction", numberValue(0.25, 1, { minimum: 0, maximum: 2 }), 0.25);
  check("not a number", numberValue(Number.NaN, 64, tokens), 64);
  check("number as text", numberValue("96", 64, tokens), 64);
  check("unbounded", numberValue(1e9, 0, { minimum: 0 }), 1e9);
  check("list", stringList(["a", 1, "b", null], ["c"]), ["a", "b"]);
  check("no list", stringList("a", ["c"]), ["c"]);
  check("map", booleanMap({ a: true, b: "no", c: false }, {}), { a: true, c: false });
  check("no map", booleanMap(["a"], { "*": true }), { "*": true });
  check("null map", booleanMap(null, { "*": true }), { "*": true });
});
