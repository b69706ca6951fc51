import { writeFileSync } from "node:fs";
import { buffer } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { ZipFile } from "yazl";

const manifest = {
  publisher: "nmos-bench",
  name: "control",
  version: "1.0.0",
  engines: { vscode: "^1.80.0" },
  activationEvents: ["onStartupFinished"],
  main: "control_extension.js",
};

/** Writes a VSIX of `control_extension.ts`. It suggests while the setting `nmosControl.enabled` is true. */
export async function writeControlExtension(path: string): Promise<void> {
  const { outputFiles } = await build({
    entryPoints: [fileURLToPath(new URL("control_extension.ts", import.meta.url))],
    write: false,
    bundle: true,
    platform: "node",
    target: "node20",
    format: "cjs",
    external: ["vscode"],
    logLevel: "warning",
  });
  const zip = new ZipFile();
  zip.addBuffer(Buffer.from(JSON.stringify(manifest)), "extension/package.json");
  for (const { contents } of outputFiles) zip.addBuffer(Buffer.from(contents), `extension/${manifest.main}`);
  zip.end();
  writeFileSync(path, await buffer(zip.outputStream));
}
