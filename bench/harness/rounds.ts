/** Side-by-side measurement: every contender once per round, the order turned around from round to round. */

/**
 * Calls `measure(contender, round)` in the order A B C, C B A, A B C, ... and resolves with each contender's values,
 * index = round. Turning the order cancels a steady drift of the machine within a round to first order.
 */
export async function interleave<Name extends string, Value>(
  contenders: readonly Name[],
  rounds: number,
  measure: (contender: Name, round: number) => Promise<Value>,
): Promise<Map<Name, Value[]>> {
  const values = new Map<Name, Value[]>(contenders.map((name) => [name, []]));
  for (let round = 0; round < rounds; round++) {
    const order = round % 2 === 0 ? contenders : [...contenders].reverse();
    for (const name of order) values.get(name)?.push(await measure(name, round));
  }
  return values;
}
