/**
 * What prebuildify starts in place of node-gyp: `node_gyp.ts rebuild --target=VERSION ...`, in a scratch folder, leaves
 * the addon as `build/Release/nmos.node` there. The build itself is cmake-js, or CMake when it crosses to another system, and
 * stays incremental.
 */
import { cpSync, mkdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { crossBuildAddon, isCrossTarget } from "./cross_build";
import { hostPlatform } from "./engine_libraries";
import { buildAddon } from "./native_build";

const [command] = process.argv.slice(2);
if (command !== "rebuild") throw new Error(`Expected the command rebuild, got ${command ?? "none"}.`);
const platform = `${process.env["PREBUILD_PLATFORM"] ?? ""}-${process.env["PREBUILD_ARCH"] ?? ""}`;
if (platform !== hostPlatform && !isCrossTarget(platform)) {
  throw new Error(`The addon for ${platform} cannot be built here.`);
}
const output = resolve("build", "Release");
process.chdir(fileURLToPath(new URL("../..", import.meta.url)));
const addon = await (platform === hostPlatform ? buildAddon() : crossBuildAddon(platform));
mkdirSync(output, { recursive: true });
cpSync(addon, join(output, "nmos.node"));
