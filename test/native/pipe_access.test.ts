import { describe, expect, it } from "vitest";
import { addon, expectCode } from "./support";

describe("keeping a named pipe to its user", () => {
  it.each([undefined, null, {}, { name: 1 }, "name"])("refuses %j", async (options) => {
    await expectCode(() => addon.keepPipeToUser(options as never), "INVALID_ARGUMENT");
  });

  it("says which pipe it was and why it cannot be", async () => {
    const name = String.raw`\\.\pipe\nmos-nobody-${process.pid}`;
    await expectCode(() => addon.keepPipeToUser({ name }), "INTERNAL", name, "cannot be changed: ");
    expect(() => addon.keepPipeToUser({ name })).toThrow(process.platform === "win32" ? "" : "of Windows only");
  });
});
