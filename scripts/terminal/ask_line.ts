import { createInterface } from "node:readline/promises";

const lines: string[] = [];

/**
 * Asks for a line on the terminal, with the earlier ones on the arrow keys; null when the user ends the input by Ctrl-D
 * or Ctrl-C. The terminal is in raw mode only while it waits, so that Ctrl-C is a signal at any other time and text
 * typed ahead is kept for the next question.
 */
export async function askLine(question: string): Promise<string | null> {
  const terminal = createInterface({ input: process.stdin, output: process.stdout, history: [...lines] });
  try {
    const ended = new Promise<null>((resolve) => {
      const end = (): void => {
        resolve(null);
      };
      terminal.once("close", end);
      terminal.once("SIGINT", end);
    });
    const line = await Promise.race([terminal.question(question), ended]);
    if (line?.trim()) lines.unshift(line);
    return line;
  } finally {
    terminal.close();
  }
}
