/** `npm run generate [-- --check]`: writes every generated file, or fails when one is stale. */
import { runCommand } from "./setup/run_command";

const generators = ["generate_settings", "generate_figures", "generate_notices"];
for (const generator of generators) {
  await runCommand("npx", ["tsx", `scripts/${generator}.ts`, ...process.argv.slice(2)]);
}
