/** How models are named, and what is known of one that need not be in memory. Sizes in bytes, lengths in tokens. */

/** A catalogue id such as `qwen2.5-coder-0.5b`, or the absolute path of a local GGUF file. */
export type ModelRef = string;

/**
 * A ModelRef, or `auto`: the recommended model for the role when it is installed, else another installed one that serves
 * the role. What the user has configured is known to the client alone.
 */
export type ModelChoice = string;

/** `fast`: ghost text and drafts. `main`: chat and commands. */
export type ModelRole = "fast" | "main";

/** One catalogue entry (or local file) with its state on this machine. */
export interface ModelState {
  ref: ModelRef;
  name: string;
  roles: ModelRole[];
  sizeBytes: number;
  license: string;
  licenseUrl: string;
  contextLength: number;
  /** Memory needed to run it with a usual context. */
  requiredBytes: number;
  installed: boolean;
  path: string;
  /** Bytes of an unfinished download on disk; 0 when there is none. */
  partialBytes: number;
  downloading: boolean;
  /** Default for this machine's memory in these roles. */
  recommendedFor: ModelRole[];
  /** False when this machine has too little memory for it. */
  fits: boolean;
}
