/** What the suite in the extension host tells the process that started VS Code: each check, with its error or null. */
export type SuiteReport = Record<string, string | null>;

/** Environment variable that names the file for the report. It appears when all checks are done. */
export const reportVariable = "NMOS_SUITE_REPORT";
