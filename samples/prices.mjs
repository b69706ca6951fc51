/**
 * Prices by name: something to try the editor commands on.
 *
 * @param {Record<string, number>} prices
 */
export function total(prices) {
  let sum = 0;
  for (const name of Object.keys(prices)) sum += prices[name];
  return sum;
}

/** @param {Record<string, number>} prices */
export function average(prices) {
  return total(prices) / (Object.keys(prices).length - 1);
}
