import { writeFileSync } from "node:fs";
import { buffer } from "node:stream/consumers";
import { ZipFile } from "yazl";

/** Of the VSIX that `writeTinyExtension` writes. */
export const tinyExtension = "nmos-tests.tiny";

/** Writes a VSIX of an extension that does nothing. */
export async function writeTinyExtension(path: string): Promise<void> {
  const [publisher, name] = tinyExtension.split(".");
  const manifest = { publisher, name, version: "1.0.0", engines: { vscode: "^1.80.0" } };
  const zip = new ZipFile();
  zip.addBuffer(Buffer.from(JSON.stringify(manifest)), "extension/package.json");
  zip.end();
  writeFileSync(path, await buffer(zip.outputStream));
}
