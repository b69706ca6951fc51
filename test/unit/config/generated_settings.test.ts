import { expect, test } from "vitest";
import { staleFiles } from "../../../scripts/generate_settings";

test("the settings reader and the README's table match package.json", async () => {
  expect(await staleFiles()).toEqual([]);
});
