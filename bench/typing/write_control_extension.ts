import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { writeVsix } from "../../test/electron/write_vsix";

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
  const {
    outputFiles: [bundle],
  } = await build({
    entryPoints: [fileURLToPath(new URL("control_extension.ts", import.meta.url))],
    write: false,
    bundle: true,
    platform: "node",
    target: "node20",
    format: "cjs",
    external: ["vscode"],
    logLevel: "warning",
  });
  if (!bundle) throw new Error("expected esbuild to bundle the control extension");
  await writeVsix(path, manifest, { [manifest.main]: bundle.contents });
}
