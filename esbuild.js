/**
 * Bundles what VS Code runs into dist/: the extension, the engine host and the webview.
 * `node esbuild.js --production` minifies and leaves out source maps (what the VSIX holds).
 */
import { build } from "esbuild";

const production = process.argv.includes("--production");
const common = { bundle: true, sourcemap: !production, minify: production, logLevel: "warning" };
const node = { ...common, platform: "node", target: "node20", format: "cjs" };

await Promise.all([
  build({ ...node, entryPoints: ["src/extension.ts"], outfile: "dist/extension.cjs", external: ["vscode"] }),
  build({ ...node, entryPoints: ["src/engine/host/main.ts"], outfile: "dist/engine_host.cjs" }),
  build({
    ...common,
    entryPoints: ["webview/chat.ts"],
    outfile: "dist/webview/chat.js",
    platform: "browser",
    target: "es2022",
    format: "iife",
  }),
]);
