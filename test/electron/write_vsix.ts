import { writeFileSync } from "node:fs";
import { buffer } from "node:stream/consumers";
import { ZipFile } from "yazl";

/** Writes a VSIX of an extension: its manifest and what it has beside that, by file name. */
export async function writeVsix(
  path: string,
  manifest: object,
  files: Readonly<Record<string, Uint8Array>> = {},
): Promise<void> {
  const zip = new ZipFile();
  zip.addBuffer(Buffer.from(JSON.stringify(manifest)), "extension/package.json");
  for (const [name, contents] of Object.entries(files)) zip.addBuffer(Buffer.from(contents), `extension/${name}`);
  zip.end();
  writeFileSync(path, await buffer(zip.outputStream));
}
