/**
 * Bundles what VS Code runs into dist/: the extension, the engine host, its watchdog and quantising process, and the webview.
 * `node esbuild.js --production` minifies and leaves out source maps (what the VSIX holds).
 */
import { build } from "esbuild";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL(".", import.meta.url));

/**
 * Builds every bundle; resolves with the paths of all source files that went into one.
 *
 * @param {{ production?: boolean, write?: boolean }} [options]
 * @returns {Promise<string[]>}
 */
export async function bundle({ production = false, write = true } = {}) {
  /** @satisfies {import("esbuild").BuildOptions} */
  const common = {
    absWorkingDir: root,
    bundle: true,
    sourcemap: !production,
    minify: production,
    metafile: /** @type {const} */ (true),
    write,
    logLevel: /** @type {const} */ ("warning"),
  };
  /** @satisfies {import("esbuild").BuildOptions} */
  const node = {
    ...common,
    platform: /** @type {const} */ ("node"),
    target: "node20",
    format: /** @type {const} */ ("cjs"),
  };
  const results = await Promise.all([
    build({ ...node, entryPoints: ["src/extension.ts"], outfile: "dist/extension.cjs", external: ["vscode"] }),
    build({ ...node, entryPoints: ["src/engine/host/main.ts"], outfile: "dist/engine_host.cjs" }),
    build({ ...node, entryPoints: ["src/engine/host/watchdog_main.ts"], outfile: "dist/host_watchdog.cjs" }),
    build({ ...node, entryPoints: ["src/engine/quantise/worker_main.ts"], outfile: "dist/quantise_worker.cjs" }),
    build({
      ...common,
      entryPoints: ["webview/chat.ts", "webview/chat.css", "webview/memory.ts", "webview/memory.css"],
      outdir: "dist/webview",
      platform: "browser",
      target: "es2022",
      format: "iife",
    }),
  ]);
  return results.flatMap((result) => Object.keys(result.metafile.inputs));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await bundle({ production: process.argv.includes("--production") });
}
