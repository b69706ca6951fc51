/** One archive with extension, engine packs and models, for machines without a network. */
import type { PackInstalled } from "./packs";

/** An engine pack or a model, by the name that people know. */
export interface ArchivedName {
  kind: "pack" | "model";
  name: string;
}

/** What came of an archive. */
export interface ArchiveInstalled extends PackInstalled {
  installed: ArchivedName[];
  /** Was there already. */
  present: ArchivedName[];
  /** What is not for this machine or this version of NMOS, with the reason as the rest of a sentence. */
  left: (ArchivedName & { reason: string })[];
  /** The extension in the archive, when it is newer: its VSIX, checked, in a folder of its own; whoever asked removes both. */
  update: { version: string; path: string } | null;
}
