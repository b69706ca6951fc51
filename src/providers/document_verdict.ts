/** What decides whether a document's text may go into a prompt. */
export interface DocumentTraits {
  scheme: string;
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
const schemes = new Set(["file", "untitled", "vscode-remote", "vscode-vfs", "vscode-notebook-cell"]);

/** Characters; larger documents are generated ones, and reading them at every keystroke would slow typing. */
export const longestDocument = 4_000_000;

export function judgeDocument(traits: DocumentTraits): DocumentVerdict {
  if (!traits.workspaceTrusted) return "untrusted";
  if (!schemes.has(traits.scheme)) return "scheme";
  if (traits.isPrivate) return "private";
  if (traits.isHidden) return "hidden";
  if (traits.length > longestDocument) return "too large";
  return "eligible";
}
