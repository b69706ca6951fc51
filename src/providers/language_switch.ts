/** Whether `nmos.completion.languages` has ghost text on for a language; `*` stands for those not listed. */
export function languageEnabled(languages: Readonly<Record<string, boolean>>, languageId: string): boolean {
  const own = Object.hasOwn(languages, languageId) ? languages[languageId] : undefined;
  return own ?? languages["*"] ?? true;
}
