/**
 * package.json is the source of every setting. `npm run generate` writes what follows from it: the typed reader
 * src/config/settings.generated.ts and the table in README.md. With `--check` it writes nothing and fails when either
 * is stale.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { format, resolveConfig } from "prettier";

const root = fileURLToPath(new URL("..", import.meta.url));

interface SettingSchema {
  type: "boolean" | "string" | "integer" | "number" | "array" | "object";
  default: unknown;
  enum?: string[];
  minimum?: number;
  maximum?: number;
  markdownDescription: string;
}

interface Setting {
  /** `nmos.completion.maxTokens` */
  key: string;
  /** `completion` */
  group: string;
  /** `maxTokens` */
  name: string;
  schema: SettingSchema;
}

interface Manifest {
  contributes: { configuration: { properties: Record<string, SettingSchema> }[] };
}

/** Path below the repository's root and text of every generated file, as they should be. */
export async function generateSettings(): Promise<Map<string, string>> {
  const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as Manifest;
  const settings = manifest.contributes.configuration.flatMap((section) =>
    Object.entries(section.properties).map(([key, schema]) => parseSetting(key, schema)),
  );
  const readme = readFileSync(join(root, "README.md"), "utf8");
  return new Map([
    ["src/config/settings.generated.ts", await pretty("settings.generated.ts", reader(settings))],
    ["README.md", await pretty("README.md", withTable(readme, settings))],
  ]);
}

/** The generated files that differ from what package.json asks for. */
export async function staleFiles(): Promise<string[]> {
  const generated = await generateSettings();
  return [...generated].filter(([path, text]) => readIfThere(path) !== text).map(([path]) => path);
}

function readIfThere(path: string): string {
  try {
    return readFileSync(join(root, path), "utf8");
  } catch {
    return "";
  }
}

function parseSetting(key: string, schema: SettingSchema): Setting {
  const [prefix, group, name, ...rest] = key.split(".");
  if (prefix !== "nmos" || !group || !name || rest.length > 0) {
    throw new Error(`expected a setting named nmos.GROUP.NAME, got ${key}`);
  }
  if (schema.default === undefined) throw new Error(`${key} has no default`);
  return { key, group, name, schema };
}

async function pretty(file: string, text: string): Promise<string> {
  const config = await resolveConfig(join(root, file));
  return format(text, { ...config, filepath: file });
}

function valueType({ schema }: Setting): string {
  switch (schema.type) {
    case "boolean":
      return "boolean";
    case "string":
      return schema.enum?.map((choice) => JSON.stringify(choice)).join(" | ") ?? "string";
    case "integer":
    case "number":
      return "number";
    case "array":
      return "string[]";
    case "object":
      return "Record<string, boolean>";
  }
}

function valueReader({ group, name, schema }: Setting): [helper: string, expression: string] {
  const value = `configuration.get(${JSON.stringify(`${group}.${name}`)})`;
  const fallback = JSON.stringify(schema.default);
  switch (schema.type) {
    case "boolean":
      return ["booleanValue", `booleanValue(${value}, ${fallback})`];
    case "string":
      return schema.enum
        ? ["choiceValue", `choiceValue(${value}, ${JSON.stringify(schema.enum)}, ${fallback})`]
        : ["stringValue", `stringValue(${value}, ${fallback})`];
    case "integer":
    case "number": {
      const { minimum, maximum } = schema;
      const range = JSON.stringify({ minimum, maximum, integer: schema.type === "integer" });
      return ["numberValue", `numberValue(${value}, ${fallback}, ${range})`];
    }
    case "array":
      return ["stringList", `stringList(${value}, ${fallback})`];
    case "object":
      return ["booleanMap", `booleanMap(${value}, ${fallback})`];
  }
}

function reader(settings: Setting[]): string {
  const helpers = [...new Set(settings.map((setting) => valueReader(setting)[0]))].sort();
  const groups = [...new Set(settings.map((setting) => setting.group))];
  const sections = groups.map((group) => {
    const members = settings.filter((setting) => setting.group === group);
    const title = group.charAt(0).toUpperCase() + group.slice(1);
    const fields = members.map(
      (setting) => `/** ${setting.schema.markdownDescription} */\n${setting.name}: ${valueType(setting)};`,
    );
    const reads = members.map((setting) => `${setting.name}: ${valueReader(setting)[1]},`);
    return `
export interface ${title}Settings {
${fields.join("\n")}
}

/** Reads \`nmos.${group}\` as it holds for \`scope\`. */
export const read${title}Settings = remembered((scope): Readonly<${title}Settings> => {
const configuration = vscode.workspace.getConfiguration("nmos", scope);
return {
${reads.join("\n")}
};
});
`;
  });
  return `// Generated from package.json by scripts/generate_settings.ts; change it there and run \`npm run generate\`.
import * as vscode from "vscode";
import { ${helpers.join(", ")} } from "./setting_values";
import { remembered } from "./settings_memory";
${sections.join("")}`;
}

function withTable(readme: string, settings: Setting[]): string {
  const begin = "<!-- settings -->";
  const end = "<!-- /settings -->";
  const from = readme.indexOf(begin);
  const to = readme.indexOf(end);
  if (from < 0 || to < from) throw new Error(`README.md needs the markers ${begin} and ${end}`);
  const rows = settings.map(
    ({ key, schema }) => `| \`${key}\` | ${shownDefault(schema)} | ${cell(describe(schema))} |`,
  );
  const table = ["| setting | default | meaning |", "| --- | --- | --- |", ...rows].join("\n");
  return `${readme.slice(0, from + begin.length)}\n\n${table}\n\n${readme.slice(to)}`;
}

function describe(schema: SettingSchema): string {
  const choices = schema.enum ? ` One of ${schema.enum.map((choice) => `\`${choice}\``).join(", ")}.` : "";
  return schema.markdownDescription + choices;
}

/** Long defaults are left to the settings editor. */
function shownDefault(schema: SettingSchema): string {
  if (schema.default === "") return "empty";
  const text = typeof schema.default === "string" ? schema.default : JSON.stringify(schema.default);
  return text.length > 60 ? "see the settings editor" : `\`${cell(text)}\``;
}

function cell(text: string): string {
  return text.replaceAll("|", "\\|").replaceAll("\n", " ");
}

async function main(): Promise<void> {
  if (process.argv.includes("--check")) {
    const stale = await staleFiles();
    if (stale.length > 0) {
      console.error(`${stale.join(" and ")} do not match package.json; run \`npm run generate\``);
      process.exitCode = 1;
    }
    return;
  }
  for (const [path, text] of await generateSettings()) {
    if (readIfThere(path) !== text) writeFileSync(join(root, path), text);
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main();
