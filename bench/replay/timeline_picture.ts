/** Draws a timeline as an SVG that is readable on light and on dark pages and needs no font of its own. */
import type { Span, Timeline } from "./timeline";

export interface PictureOptions {
  title: string;
  /** Milliseconds, of the timeline's clock. */
  from: number;
  to: number;
  /** The time is broken into so many rows, one below the other. */
  rows: number;
}

/** Pixels. */
export const geometry = { width: 980, left: 112, right: 12, lane: 18, gap: 4, top: 58, axis: 26 } as const;

const lanes = [
  { lane: "keys", label: "keys" },
  { lane: "pause", label: "pause" },
  { lane: "asked", label: "asked for" },
  { lane: "ahead", label: "computed ahead" },
  { lane: "shown", label: "on the screen" },
] as const;

const legend: readonly [style: string, text: string][] = [
  ["key", "key"],
  ["moved", "cursor moved"],
  ["pause", "pause found"],
  ["prefill", "prefill"],
  ["decode", "decode"],
  ["off", "called off"],
  ["shown", "suggestion shown"],
];

/** Colours that people tell apart who see few of them (after Okabe and Ito, 2008), for light pages and for dark ones. */
const style = `
  text { font: 11px system-ui, sans-serif; fill: #24292f; }
  .code { font: 10px ui-monospace, monospace; fill: #24292f; }
  .title { font-weight: 600; font-size: 13px; }
  .page { fill: #ffffff; }
  .ground { fill: #f3f4f6; }
  .tick { stroke: #d0d7de; }
  .key { stroke: #24292f; stroke-width: 1.5; }
  .moved { fill: none; stroke: #24292f; stroke-width: 1.2; }
  .pause { fill: #c3c8ce; }
  .prefill { fill: #e69f00; }
  .decode { fill: #0072b2; }
  .shown { fill: #8fd3b6; }
  .off { stroke: #d0300f; stroke-width: 1.8; }
  @media (prefers-color-scheme: dark) {
    text, .code { fill: #e6edf3; }
    .page { fill: #0d1117; }
    .ground { fill: #161b22; }
    .tick { stroke: #30363d; }
    .key, .moved { stroke: #e6edf3; }
    .pause { fill: #484f58; }
    .decode { fill: #56b4e9; }
    .shown { fill: #1f6f52; }
    .off { stroke: #ff7b5c; }
  }`;

const laneStep = geometry.lane + geometry.gap;
const rowHeight = lanes.length * laneStep + geometry.axis;
const plotWidth = geometry.width - geometry.left - geometry.right;

export function timelinePicture(timeline: Timeline, { title, from, to, rows }: PictureOptions): string {
  const height = geometry.top + rows * rowHeight;
  const step = (to - from) / rows;
  const parts = Array.from({ length: rows }, (_, row) =>
    drawRow(timeline, { from: from + row * step, to: from + (row + 1) * step, origin: from, row }),
  );
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${geometry.width} ${height}" role="img">`,
    `<title>${escaped(title)}</title>`,
    `<style>${style}\n</style>`,
    `<rect class="page" width="${geometry.width}" height="${height}"/>`,
    `<text class="title" x="${geometry.right}" y="20">${escaped(title)}</text>`,
    ...drawLegend(),
    ...parts.flat(),
    "</svg>",
    "",
  ].join("\n");
}

interface Row {
  from: number;
  to: number;
  /** Where the time of the axis begins. */
  origin: number;
  row: number;
}

function drawRow({ marks, spans }: Timeline, row: Row): string[] {
  const { from, to, origin } = row;
  const x = (at: number) => geometry.left + ((at - from) / (to - from)) * plotWidth;
  const y = (lane: string) => laneTop(row.row, lane);
  const grounds = lanes.flatMap(({ lane, label }) => [
    `<rect class="ground" x="${geometry.left}" y="${y(lane)}" width="${plotWidth}" height="${geometry.lane}"/>`,
    `<text x="${geometry.right}" y="${y(lane) + 13}">${label}</text>`,
  ]);
  const bars = spans.flatMap((span) => {
    const [begin, end] = [Math.max(from, span.from), Math.min(to, span.to)];
    return end > begin ? drawSpan(span, x(begin), x(end), y(span.lane)) : [];
  });
  const drawn = marks
    .filter(({ at }) => at >= from && at < to)
    .map(({ at, lane, kind }) => drawMark(kind === "calledOff" ? "off" : kind, x(at), y(lane)));
  return [...grounds, ...drawAxis(from, to, origin, x, y("keys")), ...bars, ...drawn];
}

function laneTop(row: number, lane: string): number {
  return geometry.top + row * rowHeight + lanes.findIndex((one) => one.lane === lane) * laneStep;
}

/** A line each second. */
function drawAxis(from: number, to: number, origin: number, x: (at: number) => number, top: number): string[] {
  const lines: string[] = [];
  const bottom = top + lanes.length * laneStep;
  for (let second = Math.ceil((from - origin) / 1000); origin + second * 1000 <= to; second++) {
    const at = round(x(origin + second * 1000));
    lines.push(`<line class="tick" x1="${at}" y1="${top}" x2="${at}" y2="${bottom}"/>`);
    lines.push(`<text x="${at}" y="${bottom + 10}" text-anchor="middle">${second} s</text>`);
  }
  return lines;
}

function drawSpan(span: Span, left: number, right: number, top: number): string[] {
  const kind = span.lane === "asked" || span.lane === "ahead" ? span.kind : span.lane;
  // What is shorter than a pixel is seen all the same.
  const width = Math.max(1, right - left);
  const bar = `<rect class="${kind}" x="${round(left)}" y="${top + 1}" width="${round(width)}" height="${geometry.lane - 2}"/>`;
  if (span.lane !== "shown") return [bar];
  const letters = Math.floor((width - 6) / letterWidth);
  const line = span.text.trim().split("\n", 1)[0] ?? "";
  const text = line.length > letters ? `${line.slice(0, Math.max(0, letters - 1))}…` : line;
  if (letters < 3) return [bar];
  return [bar, `<text class="code" x="${round(left + 3)}" y="${top + 13}">${escaped(text)}</text>`];
}

const letterWidth = 6.1;

function drawMark(style: string, x: number, top: number): string {
  const middle = top + geometry.lane / 2;
  const at = round(x);
  switch (style) {
    case "key":
      return `<line class="key" x1="${at}" y1="${top + 2}" x2="${at}" y2="${top + geometry.lane - 2}"/>`;
    case "moved":
      return `<circle class="moved" cx="${at}" cy="${middle}" r="4"/>`;
    default:
      return `<path class="off" d="M${round(x - 4)} ${middle - 4}l8 8m0 -8l-8 8"/>`;
  }
}

function drawLegend(): string[] {
  const top = 30;
  let x: number = geometry.right;
  return legend.flatMap(([style, text]) => {
    const isMark = style === "key" || style === "moved" || style === "off";
    const sign = isMark
      ? drawMark(style, x + 6, top)
      : `<rect class="${style}" x="${x}" y="${top + 4}" width="14" height="10"/>`;
    const label = `<text x="${x + 20}" y="${top + 13}">${text}</text>`;
    x += 34 + text.length * letterWidth;
    return [sign, label];
  });
}

/** For a reader of XML. */
function escaped(text: string): string {
  const names: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };
  return text.replaceAll(/[&<>"]/g, (letter) => names[letter] ?? letter).replaceAll(/[^\P{Cc}\t]/gu, " ");
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
