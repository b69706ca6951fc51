/**
 * Milliseconds of the clock that all processes of this machine share and that never jumps, so that moments of two
 * processes can be compared (CLOCK_MONOTONIC on Linux, its like elsewhere). `performance.now` begins anew in each process.
 */
export function machineNow(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
