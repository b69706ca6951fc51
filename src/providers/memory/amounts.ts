/** Amounts as the memory view writes them. */

const mebibyte = 1024 * 1024;

/** `1,024 MiB`. */
export function mib(bytes: number): string {
  return `${whole(bytes / mebibyte)} MiB`;
}

/** `1,024`. */
export function whole(amount: number): string {
  return Math.round(amount).toLocaleString("en");
}

/** `12.3 ms`; whole from 100 ms on. */
export function ms(milliseconds: number): string {
  return `${milliseconds < 99.95 ? milliseconds.toFixed(1) : whole(milliseconds)} ms`;
}

/** `12.3 s`; minutes from 10 of them on. */
export function seconds(milliseconds: number): string {
  return milliseconds < 600_000 ? `${(milliseconds / 1000).toFixed(1)} s` : `${whole(milliseconds / 60_000)} min`;
}

/** `43%`. What is there is never called 0%, and what is not all never 100%. */
export function percent(share: number): string {
  const rounded = Math.round(100 * share);
  if (rounded === 0 && share > 0) return "<1%";
  if (rounded === 100 && share < 1 - 1e-6) return ">99%";
  return `${rounded}%`;
}

/** `1 layer`, `2 layers`. */
export function count(amount: number, noun: string): string {
  return `${whole(amount)} ${noun}${amount === 1 ? "" : "s"}`;
}
