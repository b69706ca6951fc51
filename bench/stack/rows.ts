/** The rows of the report out of the samples of a run. */
import { comparisonRow, limitRow, plainRow, type Row } from "../harness/report";
import { median, quantile } from "../harness/statistics";
import type { PrefillSample } from "./contender";
import type { ProtocolOverhead } from "./protocol_overhead";

export type ContenderName = "nmos" | "llama-bench" | "node-llama-cpp";
export type Samples<Value> = ReadonlyMap<ContenderName, readonly Value[]>;

/** Speed of the whole stack as a share of the bare library's. */
const speedTarget = 0.97;
const overheadLimitMs = 1;
const cancellationLimitMs = 30;

export function prefillRows(label: string, tokens: number, samples: Samples<PrefillSample>): Row[] {
  const speeds = mapValues(samples, ({ tokensPerSecond }) => tokensPerSecond);
  const firstTextMs = mapValues(samples, (sample) => sample.firstTextMs ?? Number.NaN);
  return [
    ...speedRows(`${label} prefill ${tokens}`, speeds),
    comparisonRow({
      id: `${label} first text ${tokens}`,
      unit: "ms",
      peer: "node-llama-cpp",
      ours: of(firstTextMs, "nmos"),
      theirs: of(firstTextMs, "node-llama-cpp"),
      better: "lower",
      target: null,
    }),
  ];
}

export function decodeRows(label: string, samples: Samples<number>): Row[] {
  return speedRows(`${label} decode`, samples);
}

export function overheadRows(label: string, { wholeMs, socketMs }: ProtocolOverhead): Row[] {
  return [
    limitRow({ id: `${label} token overhead p95`, unit: "ms", value: quantile(wholeMs, 0.95), limit: overheadLimitMs }),
    plainRow({ id: `${label} token overhead median`, unit: "ms", value: median(wholeMs) }),
    plainRow({ id: `${label} token overhead, socket p95`, unit: "ms", value: quantile(socketMs, 0.95) }),
  ];
}

export function cancellationRows(label: string, cancelledMs: readonly number[]): Row[] {
  return [
    limitRow({ id: `${label} cancel p99`, unit: "ms", value: quantile(cancelledMs, 0.99), limit: cancellationLimitMs }),
    plainRow({ id: `${label} cancel median`, unit: "ms", value: median(cancelledMs) }),
  ];
}

function speedRows(id: string, speeds: Samples<number>): Row[] {
  const common = { id, unit: "tokens/s", ours: of(speeds, "nmos"), better: "higher" } as const;
  return [
    comparisonRow({ ...common, peer: "llama-bench", theirs: of(speeds, "llama-bench"), target: speedTarget }),
    comparisonRow({ ...common, peer: "node-llama-cpp", theirs: of(speeds, "node-llama-cpp"), target: null }),
  ];
}

function mapValues<From, To>(samples: Samples<From>, change: (value: From) => To): Samples<To> {
  return new Map([...samples].map(([name, values]) => [name, values.map(change)]));
}

function of<Value>(samples: Samples<Value>, name: ContenderName): readonly Value[] {
  const values = samples.get(name);
  if (!values) throw new RangeError(`expected samples of ${name}, got none`);
  return values;
}
