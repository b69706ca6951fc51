/** Paths of the shared libraries that this process has loaded, by Node's own diagnostic report. */
export function loadedLibraries(): string[] {
  const report: unknown = process.report.getReport();
  const { sharedObjects } = (typeof report === "string" ? JSON.parse(report) : report) as { sharedObjects: string[] };
  return sharedObjects;
}
