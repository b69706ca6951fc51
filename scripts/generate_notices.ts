/**
 * Writes THIRD_PARTY_NOTICES from what is really shipped: the npm packages inside the bundles, found through the
 * bundler's own list of inputs, the native libraries beside the addon, and those of the engine packs. `--check` only compares.
 */
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { bundle } from "../esbuild.js";

const root = fileURLToPath(new URL("..", import.meta.url));

interface Notice {
  title: string;
  text: string;
}

/** Linked into the addon, copied beside it or in an engine pack; their licence texts are kept in native/licenses. */
const nativeNotices: [title: string, file: string][] = [
  ["llama.cpp and ggml (libllama, libggml and its backends), MIT", "llama.cpp.txt"],
  ["Prebuilt binaries of llama.cpp published with node-llama-cpp, MIT", "node-llama-cpp-binaries.txt"],
  ["NVIDIA's CUDA runtime and cuBLAS, in the engine packs, NVIDIA's end user licence", "nvidia-cuda.txt"],
  ["Microsoft's Visual C++ runtime, in the package for Windows, Microsoft's licence terms", "visual-cpp.txt"],
  ["mingw-w64 and winpthreads, in the package for Windows, ZPL-2.1, MIT and BSD-3-Clause", "mingw-w64.txt"],
];

/** The package a bundled file belongs to, such as `node_modules/undici`; null for our own files. */
function packageFolder(input: string): string | null {
  const match = /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(input);
  return match?.[1] ?? null;
}

function packageNotice(folder: string): Notice {
  const manifest = JSON.parse(readFileSync(join(root, folder, "package.json"), "utf8")) as {
    name: string;
    version: string;
    license: string;
  };
  const license = readdirSync(join(root, folder)).find((name) => /^licen[cs]e/i.test(name));
  if (!license) throw new Error(`${folder} is bundled but has no licence file; ship its text in another way`);
  return {
    title: `${manifest.name} ${manifest.version}, ${manifest.license}`,
    text: readFileSync(join(root, folder, license), "utf8"),
  };
}

export async function thirdPartyNotices(): Promise<string> {
  const inputs = await bundle({ production: true, write: false });
  const folders = [...new Set(inputs.map(packageFolder))].filter((folder) => folder !== null).sort();
  const headers = "node_modules/node-addon-api";
  const notices: Notice[] = [
    ...nativeNotices.map(([title, file]) => ({
      title,
      text: readFileSync(join(root, "native/licenses", file), "utf8"),
    })),
    packageNotice(headers),
    ...folders.map(packageNotice),
  ];
  const rule = "=".repeat(80);
  const sections = notices.map(
    ({ title, text }) => `${rule}\n${title}\n${rule}\n\n${text.replace(/\r\n/g, "\n").trim()}\n`,
  );
  return `NMOS ships the following software of others, each under its own licence.\n\n${sections.join("\n")}`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const file = join(root, "THIRD_PARTY_NOTICES");
  const expected = await thirdPartyNotices();
  if (!process.argv.includes("--check")) writeFileSync(file, expected);
  else if (readFileSync(file, "utf8") !== expected) {
    console.error("THIRD_PARTY_NOTICES is stale: run `npm run generate`.");
    process.exit(1);
  }
}
