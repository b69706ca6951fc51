import type { MachineReport } from "../../shared/protocol";

/** What is personal to a user: the name they log in by, their folder, the name of their machine. */
export interface Identity {
  user: string;
  home: string;
  host: string;
}

/** Paths from the root, a drive or the user's folder on, of Windows and POSIX, up to a blank, a quote or what ends a sentence. */
const path = /(?:(?:[A-Za-z]:|~)[\\/]|\\\\|(?<![\w:/.])\/)(?:[^\s"'`<>|:;,()]+[\\/])*([^\s"'`<>|:;,()\\/]*)/g;

/** The report for a bug report: without names of the user's files, paths, and the names of user and machine. */
export function withoutPersonalData(report: MachineReport, identity: Identity): MachineReport {
  let own = 0;
  const models = report.models.map((model) =>
    model.isOwnFile ? { ...model, name: `own file ${String(++own)}` } : model,
  );
  const text = JSON.stringify({ ...report, models }, (_, value: unknown) =>
    typeof value === "string" ? scrub(value, identity) : value,
  );
  return JSON.parse(text) as MachineReport;
}

/** Of a path, only the name of the file stays. */
function scrub(text: string, { user, home, host }: Identity): string {
  // First, because it may hold blanks.
  const shortened = home === "" ? text : text.replace(new RegExp(escaped(home), "gi"), "~");
  let scrubbed = shortened.replace(path, (_, file: string) => `…/${file}`);
  for (const name of [user, host]) {
    // Names as short as "pc" stand in other words, too.
    if (name.length >= 3) scrubbed = scrubbed.replace(new RegExp(`(?<!\\w)${escaped(name)}(?!\\w)`, "gi"), "…");
  }
  return scrubbed;
}

function escaped(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}
