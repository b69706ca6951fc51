import { existsSync, readdirSync, readFileSync } from "node:fs";
import { basename, dirname, extname, join, sep } from "node:path";
import type { Extract } from "../../src/shared/completion";
import type { CompletionCase } from "./cases";

/** How extracts of other files are chosen. */
export const contextKinds = {
  recent: "around places in files of the folder, as if they were looked at",
  similar: "what has most identifiers in common with the text around the cursor",
  declarations: "declarations, in imported files, of what is named near the cursor",
} as const;

export type ContextKind = keyof typeof contextKinds;

/** Characters of all extracts together, and lines of one. */
const budget = 1200;
const windowLines = 33;

/** Other files that are looked into: imported ones and those of the folder. */
const mostFiles = 8;

const identifier = /[A-Za-z_]\w{2,}/g;
const keywords = new Set(
  `if else for while return const let var function int void bool auto std string size_t true false null nullptr import from
   export class struct public private static new this self def in not and or is None True False await async type interface
   number boolean undefined char float double case break continue switch default template typename`.split(/\s+/),
);

interface ProjectFile {
  path: string;
  text: string;
}

/** The files of a checked-out project, as far as extracts of them may help at a place in one of them. */
export class Project {
  private readonly paths = new Map<string, string[]>();
  private readonly texts = new Map<string, string>();

  constructor(private readonly root: string) {
    for (const path of readdirSync(root, { recursive: true, encoding: "utf8" })) {
      if (path.split(sep).includes(".git")) continue;
      this.paths.set(basename(path), [...(this.paths.get(basename(path)) ?? []), path]);
    }
  }

  /** Extracts for a place, the most useful one last; none where its file is not part of the project. */
  extracts(kind: ContextKind, place: CompletionCase): Extract[] {
    const end = place.prefix.slice(-200) + place.expected;
    const path = this.paths.get(place.file)?.find((one) => this.read(one).includes(end));
    if (path === undefined) return [];
    const imported = this.imported(path).slice(0, mostFiles);
    const files = [...new Set([...imported, ...this.beside(path).slice(0, mostFiles)])].map((one) => this.file(one));
    switch (kind) {
      case "recent":
        return recent(files);
      case "similar":
        return similar(files, place);
      case "declarations":
        return declarations(
          imported.map((one) => this.file(one)),
          place,
        );
    }
  }

  private file(path: string): ProjectFile {
    return { path: path.replaceAll(sep, "/"), text: this.read(path) };
  }

  private read(path: string): string {
    const known = this.texts.get(path);
    if (known !== undefined) return known;
    const whole = join(this.root, path);
    const text = existsSync(whole) && extname(path) !== "" ? readFileSync(whole, "utf8") : "";
    this.texts.set(path, text);
    return text;
  }

  private imported(path: string): string[] {
    const text = this.read(path);
    const quoted = [...text.matchAll(/(?:#include\s+|from\s+)["']([^"']+)["']/g)].map((match) => match[1] ?? "");
    const dotted = [...text.matchAll(/^from\s+([\w.]+)\s+import/gm)].map(
      (match) => match[1]?.replaceAll(".", "/") ?? "",
    );
    const found = [...quoted, ...dotted].flatMap((name) => {
      const names = [basename(name), `${basename(name)}.ts`, `${basename(name)}.py`, `${basename(name)}.svelte.ts`];
      const paths = names.flatMap((one) => this.paths.get(one) ?? []).filter((one) => extname(one) !== "");
      const nearest = paths.toSorted((a, b) => commonLength(b, path) - commonLength(a, path))[0];
      return nearest !== undefined && nearest !== path ? [nearest] : [];
    });
    return [...new Set(found)];
  }

  private beside(path: string): string[] {
    const folder = dirname(path);
    return readdirSync(join(this.root, folder))
      .filter((name) => [extname(path), ".h", ".hpp"].includes(extname(name)) && name !== basename(path))
      .map((name) => join(folder, name));
  }
}

/** Of three files, from the middle of each. */
function recent(files: readonly ProjectFile[]): Extract[] {
  return files.slice(0, 3).map(({ path, text }) => {
    const lines = text.split("\n");
    const from = Math.max(0, (lines.length >> 1) - (windowLines >> 1));
    return { path, text: cut(lines.slice(from, from + windowLines), budget / 3) };
  });
}

/**
 * The windows with the largest Jaccard index of their identifiers and those around the cursor, as RepoCoder retrieves them
 * (Zhang et al. 2023, arXiv 2303.12570).
 */
function similar(files: readonly ProjectFile[], { prefix, suffix }: CompletionCase): Extract[] {
  const around = identifiers([...prefix.split("\n").slice(-25), ...suffix.split("\n").slice(0, 10)].join("\n"));
  const windows = files.flatMap(({ path, text }) => {
    const lines = text.split("\n");
    const starts = lines.map((_, line) => line).filter((line) => line % (windowLines >> 1) === 0);
    return starts.map((line) => {
      const some = lines.slice(line, line + windowLines);
      return { path, some, likeness: jaccard(around, identifiers(some.join("\n"))) };
    });
  });
  const best = windows.filter(({ likeness }) => likeness >= 0.05).toSorted((a, b) => b.likeness - a.likeness);
  return best
    .slice(0, 2)
    .map(({ path, some }) => ({ path, text: cut(some, budget / 2) }))
    .toReversed();
}

/** As a language server would find them, by what declarations look like. */
function declarations(files: readonly ProjectFile[], { prefix }: CompletionCase): Extract[] {
  const near = [...identifiers(prefix.split("\n").slice(-8).join("\n"))].slice(-20);
  const found = new Map<string, string[]>();
  let left = budget;
  for (const name of near.toReversed()) {
    for (const { path, text } of files) {
      const declaration = declarationOf(name, text)?.slice(0, Math.min(500, left));
      if (declaration === undefined || declaration === "") continue;
      found.set(path, [...(found.get(path) ?? []), declaration]);
      left -= declaration.length;
      break;
    }
  }
  return [...found].map(([path, some]) => ({ path, text: some.join("\n") }));
}

function declarationOf(name: string, text: string): string | undefined {
  if (!text.includes(name)) return undefined;
  const word = "struct|class|enum|interface|type|function|const|def|using|typedef";
  const named = new RegExp(`^[^\\n/*#]*\\b(?:${word})\\s+${name}\\b[^\\n]*(?:\\n[^\\n]*){0,8}`, "m");
  const called = new RegExp(`^[\\w:<>*&, ]+[ *&]${name}\\s*\\([^\\n]*(?:\\n[^\\n;{]*){0,3}`, "m");
  return (named.exec(text) ?? called.exec(text))?.[0];
}

function identifiers(text: string): Set<string> {
  return new Set([...text.matchAll(identifier)].map(([name]) => name).filter((name) => !keywords.has(name)));
}

/** Of what either has, the share that both have. */
export function jaccard(a: ReadonlySet<string>, b: ReadonlySet<string>): number {
  const both = [...a].filter((one) => b.has(one)).length;
  return both / Math.max(1, a.size + b.size - both);
}

function commonLength(a: string, b: string): number {
  let length = 0;
  while (length < a.length && a[length] === b[length]) length += 1;
  return length;
}

/** Whole lines within so many characters. */
function cut(lines: readonly string[], characters: number): string {
  const kept: string[] = [];
  let length = 0;
  for (const line of lines) {
    length += line.length + 1;
    if (length > characters) break;
    kept.push(line);
  }
  return kept.join("\n");
}
