import type { EngineUnderTest } from "../stack/engine_under_test";
import { readCases } from "../completion/cases";
import type { Row } from "../harness/report";
import { speculationRows } from "./speculation_rows";

const caseCount = 40;
const leastGain = 1.1;

/**
 * Ghost text for cut lines, with guessed tokens and without in alternation: the time from the prompt to the last token. Every
 * line is asked for once with guessed tokens, so that the model remembers its suggestions for other lines at most.
 */
export async function measureFillingIn(engine: EngineUnderTest, model: string, label: string): Promise<Row[]> {
  const speeds = { auto: [] as number[], off: [] as number[] };
  let same = 0;
  let drafted = 0;
  let accepted = 0;
  const cases = readCases(caseCount);
  for (const [index, { file, prefix, suffix }] of cases.entries()) {
    const place = { model, path: file, languageId: "cpp", prefix, suffix, extracts: [], maxTokens: 96 };
    await engine.client.request("completion/prefill", { ...place, reach: "whole", load: true });
    const texts: string[] = [];
    for (const speculation of index % 2 === 0 ? (["auto", "off"] as const) : (["off", "auto"] as const)) {
      await engine.client.updateSettings({ speculation });
      const { text, usage } = await engine.client.request("completion/complete", { ...place, lines: "auto" });
      texts.push(text);
      if (usage.completionTokens < 2) continue;
      speeds[speculation].push((usage.completionTokens / usage.decodeMs) * 1000);
      drafted += usage.draftedTokens;
      accepted += usage.acceptedTokens;
    }
    if (texts[0] === texts[1]) same += 1;
    // Both or none, so that rounds stay pairs.
    const pairs = Math.min(speeds.auto.length, speeds.off.length);
    speeds.auto.length = speeds.off.length = pairs;
  }
  const id = `${label} filling in`;
  return speculationRows({ id, speeds, target: leastGain, drafted, accepted, same, answers: cases.length });
}
