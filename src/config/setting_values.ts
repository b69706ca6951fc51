/**
 * Turns what stands in settings.json into values of the declared type. VS Code underlines a wrong value but hands it
 * out all the same; here a value of the wrong type becomes the default and a number out of range the nearest bound.
 */

export function booleanValue(value: unknown, fallback: boolean): boolean {
  return typeof value === "boolean" ? value : fallback;
}

export function stringValue(value: unknown, fallback: string): string {
  return typeof value === "string" ? value : fallback;
}

export function choiceValue<Choice extends string>(
  value: unknown,
  choices: readonly Choice[],
  fallback: Choice,
): Choice {
  return choices.find((choice) => choice === value) ?? fallback;
}

export interface NumberRange {
  minimum?: number;
  maximum?: number;
  /** Fractions are rounded. */
  integer?: boolean;
}

export function numberValue(value: unknown, fallback: number, range: NumberRange): number {
  if (typeof value !== "number" || !Number.isFinite(value)) return fallback;
  const bounded = Math.min(Math.max(value, range.minimum ?? -Infinity), range.maximum ?? Infinity);
  return range.integer ? Math.round(bounded) : bounded;
}

/** The strings of a list; the fallback when it is no list at all. */
export function stringList(value: unknown, fallback: readonly string[]): string[] {
  if (!Array.isArray(value)) return [...fallback];
  return value.filter((item) => typeof item === "string");
}

/** The boolean entries of an object; the fallback when it is no object at all. */
export function booleanMap(value: unknown, fallback: Readonly<Record<string, boolean>>): Record<string, boolean> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return { ...fallback };
  const entries = Object.entries(value as Record<string, unknown>);
  return Object.fromEntries(entries.filter((entry): entry is [string, boolean] => typeof entry[1] === "boolean"));
}
