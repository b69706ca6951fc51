import { writeVsix } from "./write_vsix";

/** Of the VSIX that `writeTinyExtension` writes. */
export const tinyExtension = "nmos-tests.tiny";

/** Writes a VSIX of an extension that does nothing. */
export async function writeTinyExtension(path: string): Promise<void> {
  const [publisher, name] = tinyExtension.split(".");
  await writeVsix(path, { publisher, name, version: "1.0.0", engines: { vscode: "^1.80.0" } });
}
