/** What decides whether a document's text may go into a prompt. */
export interface DocumentTraits {
  /** Of the file, or of the notebook that the document is a cell of. */
  scheme: string;
  /** Lies in a folder of the workspace, whatever file system that is on. */
  inWorkspace: boolean;
  /** Characters in the document. */
  length: number;
  /** Matches nmos.privacy.exclude. */
  isPrivate: boolean;
  /** VS Code hides it from the explorer (files.exclude), such as the inside of .git. */
  isHidden: boolean;
  workspaceTrusted: boolean;
}

export type DocumentVerdict = "eligible" | "untrusted" | "scheme" | "private" | "hidden" | "too large";

/** Documents that people write: no Git revisions, output panels or virtual documents of extensions. */
const schemes = new Set(["file", "untitled", "vscode-remote", "vscode-vfs"]);

/** Characters; larger documents are generated ones. */
export const longestDocument = 4_000_000;

export function judgeDocument(traits: DocumentTraits): DocumentVerdict {
  if (!traits.workspaceTrusted) return "untrusted";
  if (!schemes.has(traits.scheme) && !traits.inWorkspace) return "scheme";
  if (traits.isPrivate) return "private";
  if (traits.isHidden) return "hidden";
  if (traits.length > longestDocument) return "too large";
  return "eligible";
}
