import type { MachineReport } from "../../shared/machine_report";

/** What is personal to a user: the name they log in by, their folder, the name of their machine. */
export interface Identity {
  user: string;
  home: string;
  host: string;
}

/** What no part of a path holds in a sentence: quotes, and what ends the path or the part. */
const outside = "\"'`<>|:;,()\\\\/\\n";

/** Where folders of users lie, whose names may have blanks: their own, drives, shares, mounted disks. */
const userRoot = "(?:(?<!\\w)[A-Za-z]:|~)[\\\\/]|\\\\\\\\|(?<![\\w:/.~])/(?:home|Users|media|mnt|Volumes)/";

/** A file's name with blanks, up to its extension, or else without any. */
const fileName = `[^${outside}]*?\\.[A-Za-z0-9]{1,8}(?![\\w.-])|[^\\s${outside}]*`;

/** Below a user's root the names of folders may hold blanks; in other paths of POSIX a blank ends the path. */
const paths = [
  new RegExp(`(?:${userRoot})(?:[^${outside}]+[\\\\/])*(${fileName})`, "g"),
  new RegExp(`(?<![\\w:/.…])/(?:[^\\s${outside}]+/)*([^\\s${outside}]*)`, "g"),
];

/** The report for a bug report: without names of the user's files, paths, and the names of user and machine. */
export function withoutPersonalData(report: MachineReport, identity: Identity): MachineReport {
  const clean = (text: string) => scrub(text, identity);
  let own = 0;
  const models = report.models.map((model) => {
    if (!model.isOwnFile) return { ...model, problem: clean(model.problem) };
    const name = `own file ${String(++own)}`;
    return { ...model, name, problem: clean(withoutFile(model.problem, model.name, name)) };
  });
  return {
    ...report,
    models,
    devices: report.devices.map((device) => ({ ...device, description: clean(device.description) })),
    backends: report.backends.map((backend) => ({ ...backend, reason: clean(backend.reason) })),
    packs: { ...report.packs, reason: clean(report.packs.reason) },
  };
}

/** What is known needs no guess where a path ends: neither the file's name nor a path to it stays. */
function withoutFile(text: string, name: string, instead: string): string {
  if (name === "") return text;
  const file = `${escaped(name)}(?:\\.gguf)?`;
  const path = new RegExp(`(?:${userRoot}|(?<!\\w)/)[^"<>|\\n]*?${file}`, "gi");
  return text.replace(path, instead).replace(new RegExp(file, "gi"), instead);
}

/** Of a path, only the name of the file stays. */
function scrub(text: string, { user, home, host }: Identity): string {
  let scrubbed = text;
  if (home.length > 1) {
    const anySlash = escaped(home).replace(/\\\\|\//g, "[\\\\/]");
    scrubbed = scrubbed.replace(new RegExp(`${anySlash}(?![\\w.-])`, "gi"), "~");
  }
  for (const path of paths) scrubbed = scrubbed.replace(path, (_, file: string) => `…/${file}`);
  for (const name of [user, host]) {
    // Names as short as "pc" stand in other words, too.
    if (name.length >= 3) scrubbed = scrubbed.replace(new RegExp(`(?<!\\w)${escaped(name)}(?!\\w)`, "gi"), "…");
  }
  return scrubbed;
}

function escaped(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}
