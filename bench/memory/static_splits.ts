import type { Stops } from "../harness/stops";
import { median } from "../harness/statistics";
import { isRealCard } from "./real_card";
import { timePasses, type Setting, type StaticSplit } from "./pass_times";

/** Of a prompt that decides which split is best for prompts. */
export const promptWidth = 64;

/** The most tokens of one pass of either side. */
const widestPass = 512;

/** Index of the first item that passes, where all behind it do; the length where none does. */
export async function firstThat<T>(items: readonly T[], passes: (item: T) => Promise<boolean>): Promise<number> {
  let [low, high] = [0, items.length];
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    const item = items[middle];
    if (item !== undefined && (await passes(item))) high = middle;
    else low = middle + 1;
  }
  return low;
}

export function describeSplit({ layers, memory, override }: StaticSplit): string {
  const networks = override && `feed-forward networks of ${override.split("|").length} layers on the processor`;
  return `${networks ?? `-ngl ${layers}`}, ${memory}`;
}

/**
 * The splits that are best at decoding and at a prompt of 64 tokens: whole layers, as many as fit and one fewer, and all
 * layers with the fewest networks left to the processor; each with mapped and with pinned weights.
 */
export async function bestSplits(
  layers: number,
  setting: Setting,
  stops: Stops,
  log: (line: string) => void,
  name: string,
): Promise<{ narrow: StaticSplit; wide: StaticSplit }> {
  const counts = Array.from({ length: layers + 1 }, (_, index) => index);
  const whole = counts.map((less): StaticSplit => ({ layers: layers + 1 - less, memory: "mapped" }));
  const networks = counts.slice(1).map((count): StaticSplit => {
    const left = Array.from({ length: count }, (_, layer) => layer).join("|");
    return { layers: layers + 1, memory: "mapped", override: `^blk\\.(${left})\\.ffn_(gate|up|down)(_exps)?\\.weight` };
  });
  const isReal = isRealCard(setting.card);
  // Backends of real cards may run out of memory in a wide pass only.
  const widths = [1, promptWidth, ...(isReal ? [widestPass] : [])];
  const tried: { split: StaticSplit; decode: number; prefill: number }[] = [];
  const attempt = async (split: StaticSplit): Promise<boolean> => {
    const report = await timePasses(setting, split, widths, 5, stops);
    if (!report) return false;
    const [decode = NaN, prefill = NaN] = report.passes.map(({ seconds }) => median(seconds));
    tried.push({ split, decode, prefill });
    log(
      `${name}: ${describeSplit(split)}: ${(decode * 1000).toFixed(1)} ms a token, ${(prefill * 1000).toFixed(0)} ms a prompt`,
    );
    return true;
  };
  for (const splits of [whole, networks]) {
    let fitted = 0;
    const fits = async (split: StaticSplit) => (await timePasses(setting, split, [1], 1, stops)) !== null;
    // What does not fit fails at once on a simulated card; a real one is woken each time.
    for (const split of isReal ? splits.slice(await firstThat(splits, fits)) : splits) {
      if (!(await attempt(split))) continue;
      await attempt({ ...split, memory: "pinned" });
      if (++fitted === 2) break;
    }
  }
  const best = (figure: "decode" | "prefill"): StaticSplit => {
    const [first] = [...tried].sort((a, b) => a[figure] - b[figure]);
    if (!first) throw new Error(`${name}: expected a split that fits the card.`);
    return first.split;
  };
  return { narrow: best("decode"), wide: best("prefill") };
}
