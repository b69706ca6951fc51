import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import manifest from "../../../package.json";
import { DEFAULT_CONTEXT_LENGTH } from "../../../src/shared/engine_settings";

const root = fileURLToPath(new URL("../../..", import.meta.url));

const sources = readdirSync(join(root, "src/providers"), { recursive: true, encoding: "utf8" })
  .filter((file) => file.endsWith(".ts"))
  .map((file) => readFileSync(join(root, "src/providers", file), "utf8"))
  .join("\n");

const contributed = manifest.contributes.commands.map(({ command }) => command);

/** Commands of VS Code, which makes `VIEW.focus` for every view. */
const builtIn = ["nmos.chat.focus", "editor.action.inlineSuggest.acceptNextLine"];

describe("commands", () => {
  test("every command used in menus, keys, the walkthrough and the code exists", () => {
    const { menus, keybindings, walkthroughs } = manifest.contributes;
    const inMenus = Object.values(menus)
      .flat()
      .flatMap((item) => ("command" in item ? [item.command] : []));
    const inWalkthrough = [...JSON.stringify(walkthroughs).matchAll(/[cC]ommand:(nmos\.[\w.]+)/g)].map(
      (match) => match[1] ?? "",
    );
    const inCode = [...sources.matchAll(/(?:executeCommand\(|command(?: =|:)) ?"(nmos\.[\w.]+)"/g)].map(
      (match) => match[1] ?? "",
    );
    const used = new Set([...inMenus, ...keybindings.map(({ command }) => command), ...inWalkthrough, ...inCode]);
    expect([...used].filter((command) => ![...contributed, ...builtIn].includes(command))).toEqual([]);
    expect(inCode.length).toBeGreaterThan(10);
  });
});

describe("files of the manifest", () => {
  const { viewsContainers, walkthroughs } = manifest.contributes;
  const files = [
    manifest.icon,
    ...viewsContainers.activitybar.map(({ icon }) => icon),
    ...walkthroughs.flatMap(({ steps }) => steps.map(({ media }) => media.markdown)),
  ];
  test.each(files)("%s is there", (file) => {
    expect(existsSync(join(root, file))).toBe(true);
  });
});

describe("settings", () => {
  const schemas = Object.assign(
    {},
    ...manifest.contributes.configuration.map(({ properties }) => properties),
  ) as Record<string, { scope: string; markdownDescription: string }>;

  test("an untrusted workspace changes no setting, as the manifest says", () => {
    const { description, restrictedConfigurations } = manifest.capabilities.untrustedWorkspaces;
    expect(description).toContain("settings of the workspace are ignored");
    expect(restrictedConfigurations).toEqual(Object.keys(schemas));
  });

  test("the context length without a setting is the engine's", () => {
    expect(schemas["nmos.engine.contextLength"]?.markdownDescription).toContain(`0: ${DEFAULT_CONTEXT_LENGTH}.`);
  });

  test("a workspace chooses no model file, folder or download address", () => {
    const machine = ["nmos.completion.model", "nmos.chat.model", "nmos.engine.modelsDirectory", "nmos.download.mirror"];
    expect(machine.map((key) => schemas[key]?.scope)).toEqual(machine.map(() => "machine"));
  });
});
