/**
 * Glob patterns as VS Code's settings write them: `*` and `?` within one segment, `**` over any number of segments,
 * `{a,b}` alternatives, `[a-z]` and `[!a-z]` sets. Letter case is ignored, so that a pattern which keeps a file private
 * holds on every file system.
 */
export function globToRegExp(glob: string): RegExp {
  let source = "";
  let braces = 0;
  for (let at = 0; at < glob.length; at++) {
    const char = glob.charAt(at);
    if (char === "*" && glob[at + 1] === "*") {
      const slash = glob[at + 2] === "/";
      source += slash ? "(?:.*/)?" : ".*";
      at += slash ? 2 : 1;
    } else if (char === "*") {
      source += "[^/]*";
    } else if (char === "?") {
      source += "[^/]";
    } else if (char === "{" && glob.includes("}", at)) {
      source += "(?:";
      braces++;
    } else if (char === "}" && braces > 0) {
      source += ")";
      braces--;
    } else if (char === "," && braces > 0) {
      source += "|";
    } else if (char === "[" && glob.indexOf("]", at + 2) > 0) {
      const end = glob.indexOf("]", at + 2);
      const set = glob.slice(at + 1, end).replace(/^[!^]/, "");
      source += `[${set.length < end - at - 1 ? "^/" : ""}${set.replace(/[\\\]^]/g, "\\$&")}]`;
      at = end;
    } else {
      source += char.replace(/[.+^${}()|[\]\\/]/g, "\\$&");
    }
  }
  return new RegExp(`^${source}${")".repeat(braces)}$`, "is");
}

/**
 * Whether one of the globs matches a path, `/`-separated and absolute or relative. A glob without a slash matches the
 * file's name in any folder. A glob that is no valid expression matches nothing.
 */
export function matchesAny(path: string, globs: readonly string[]): boolean {
  return globs.some((glob) => compiled(glob)?.test(path) ?? false);
}

/** The few patterns of the settings are matched at every keystroke, so each is compiled once. */
const cache = new Map<string, RegExp | undefined>();

function compiled(glob: string): RegExp | undefined {
  if (!cache.has(glob)) cache.set(glob, compile(glob));
  return cache.get(glob);
}

function compile(glob: string): RegExp | undefined {
  try {
    return globToRegExp(glob.includes("/") ? glob : `**/${glob}`);
  } catch {
    return undefined;
  }
}
