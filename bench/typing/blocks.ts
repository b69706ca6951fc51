/** What V8's profiler tells of a thread: who had it when. */
export interface CpuProfile {
  nodes: ProfileNode[];
  /** Node of each sample. */
  samples: number[];
  /** Microseconds from the sample before, or from the beginning, to each sample. */
  timeDeltas: number[];
}

export interface ProfileNode {
  id: number;
  callFrame: { functionName: string; url: string; lineNumber: number };
  children?: number[];
}

/** A time in which a thread ran code of ours, or code called by it, without a break. */
export interface Block {
  milliseconds: number;
  /** Of those, as far as the profiler saw the thread running: other processes may have had the processor for the rest. */
  running: number;
  /** Our function that had most of it. */
  place: string;
}

/** Microseconds: a longer time without a look is one in which the thread, or the profiler, had no processor. */
const longestLook = 1000;

const garbageCollector = "(garbage collector)";

/** The blocks of the code that `isOurs` knows by its address. Collecting garbage in the middle of one is part of it. */
export function blocksOf({ nodes, samples, timeDeltas }: CpuProfile, isOurs: (url: string) => boolean): Block[] {
  const places = placesOf(nodes, isOurs);
  const collecting = new Set(
    nodes.filter(({ callFrame }) => callFrame.functionName === garbageCollector).map(({ id }) => id),
  );
  const blocks: Block[] = [];
  let open: Map<string, number> | undefined;
  let running = 0;
  /** Microseconds of garbage collection that may turn out to be in the middle, and those of them seen running. */
  let pending = 0;
  let pendingRunning = 0;
  const close = (): void => {
    if (open) blocks.push(blockOf(open, running));
    open = undefined;
    running = 0;
    pending = 0;
    pendingRunning = 0;
  };
  for (const [index, sample] of samples.entries()) {
    const lasted = timeDeltas[index + 1] ?? 0;
    const place = places.get(sample);
    if (place !== undefined) {
      open ??= new Map();
      open.set(place, (open.get(place) ?? 0) + lasted + pending);
      running += Math.min(lasted, longestLook) + pendingRunning;
      pending = 0;
      pendingRunning = 0;
    } else if (open && collecting.has(sample)) {
      pending += lasted;
      pendingRunning += Math.min(lasted, longestLook);
    } else close();
  }
  close();
  return blocks;
}

/** Of every node below a function of ours, or of one itself, which function of ours is the innermost. */
function placesOf(nodes: readonly ProfileNode[], isOurs: (url: string) => boolean): Map<number, string> {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const places = new Map<number, string>();
  const isChild = new Set(nodes.flatMap(({ children = [] }) => children));
  const visit = (node: ProfileNode, above: string | undefined): void => {
    const { functionName, url, lineNumber } = node.callFrame;
    const place = isOurs(url) ? `${functionName || "(anonymous)"}:${String(lineNumber + 1)}` : above;
    if (place !== undefined) places.set(node.id, place);
    for (const child of node.children ?? []) {
      const below = byId.get(child);
      if (below) visit(below, place);
    }
  };
  for (const node of nodes) if (!isChild.has(node.id)) visit(node, undefined);
  return places;
}

function blockOf(times: ReadonlyMap<string, number>, running: number): Block {
  const [most = ["", 0]] = [...times].toSorted(([, a], [, b]) => b - a);
  const total = [...times.values()].reduce((sum, microseconds) => sum + microseconds, 0);
  return { milliseconds: total / 1000, running: running / 1000, place: most[0] };
}
