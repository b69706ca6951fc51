const width = 30;
/** Without a terminal a line is printed each time so much more is done. */
const lineStep = 0.1;

/** Shows how far something of known size is: one line redrawn on a terminal, a few lines in a log. */
export class ProgressBar {
  private printed = 0;

  constructor(
    private readonly label: string,
    private readonly totalBytes: number,
  ) {}

  update(bytes: number): void {
    const fraction = Math.min(1, bytes / this.totalBytes);
    if (process.stdout.isTTY) {
      const filled = Math.round(fraction * width);
      process.stdout.write(
        `\r${this.label} [${"#".repeat(filled)}${" ".repeat(width - filled)}] ${this.describe(bytes)}`,
      );
    } else if (fraction - this.printed >= lineStep) {
      this.printed = fraction;
      console.log(`${this.label}: ${this.describe(bytes)}`);
    }
  }

  finish(): void {
    this.update(this.totalBytes);
    if (process.stdout.isTTY) process.stdout.write("\n");
  }

  private describe(bytes: number): string {
    const megabytes = (count: number) => (count / 1e6).toFixed(0);
    return `${String(Math.round((bytes / this.totalBytes) * 100))}% of ${megabytes(this.totalBytes)} MB`;
  }
}
