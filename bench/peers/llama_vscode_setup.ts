/**
 * What a user of llama.vscode does and fetches until there is ghost text, counted, not run: version 0.0.63 of 2026-08-19, by its
 * README and, for the dialogs that this leaves out, by its sources (src/architect.ts, src/menu.ts, src/services/env-service.ts).
 * The shortest way on Linux without a card. Sizes are those that the hub and the release list; that of the extension itself is
 * not known and counts as nothing.
 */

export const llamaVscodeVersion = "0.0.63";

/** A click, a key or a command each. */
export const llamaVscodeSteps: readonly string[] = [
  "install the extension",
  "confirm that llama.cpp is installed",
  "choose how: by a shell script or by brew",
  "answer that an environment is to be selected",
  "pick the environment for completions on the processor",
  "confirm that its model is downloaded and its server started",
];

const megabyte = 1e6;

/** Of llama.cpp's release b10455: the one for Ubuntu on x64 without a card. */
const serverBytes = 16.6 * megabyte;

/** Models for processors, by what they are. */
export const llamaVscodeDownloads: readonly { what: string; bytes: number }[] = [
  { what: "llama.vscode, the model that it offers for processors (1.5B Q8_0)", bytes: serverBytes + 1650 * megabyte },
  { what: "llama.vscode, the smallest model that its README names (0.5B Q8_0)", bytes: serverBytes + 531 * megabyte },
];
