import { expect, test } from "vitest";
import { withPart } from "../../../scripts/setup/package_report";

test("a package that is made again replaces its own size, those for other systems stay", () => {
  const vsix = { "linux-x64": { file: "a.vsix", bytes: 1 }, "win32-x64": { file: "b.vsix", bytes: 2 } };
  const again = withPart({ vsix }, { vsix: { "linux-x64": { file: "a.vsix", bytes: 3 } } });
  expect(again).toEqual({ vsix: { ...vsix, "linux-x64": { file: "a.vsix", bytes: 3 } } });
});
