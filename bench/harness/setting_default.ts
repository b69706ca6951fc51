import manifest from "../../package.json";

/** What a setting of the extension is for users who have not changed it. */
export function settingDefault(key: string): unknown {
  const properties = manifest.contributes.configuration.flatMap((section) =>
    Object.entries<{ default: unknown }>(section.properties),
  );
  const found = properties.find(([name]) => name === key);
  if (!found) throw new Error(`expected a setting of package.json, got ${key}`);
  return found[1].default;
}
