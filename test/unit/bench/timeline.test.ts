import { describe, expect, test } from "vitest";
import { busiestPart, suggestionsShown, TimelineRecorder, type Timeline } from "../../../bench/replay/timeline";
import { geometry, timelinePicture } from "../../../bench/replay/timeline_picture";

function recorder(): { recorder: TimelineRecorder; at: (time: number) => TimelineRecorder } {
  let now = 0;
  const recorder = new TimelineRecorder(() => now);
  return {
    recorder,
    at(time) {
      now = time;
      return recorder;
    },
  };
}

describe("a recorded timeline", () => {
  test("has pauses and suggestions until the next key", () => {
    const { recorder: one, at } = recorder();
    at(100).acted("key");
    at(300).paused();
    at(320).paused();
    at(400).suggested("a + b");
    at(450).suggested("a + b;");
    at(900).acted("moved");
    at(1000).finish();
    expect(one.timeline).toEqual({
      marks: [
        { at: 100, lane: "keys", kind: "key" },
        { at: 900, lane: "keys", kind: "moved" },
      ],
      spans: [
        { lane: "pause", from: 300, to: 900 },
        { lane: "shown", text: "a + b", from: 400, to: 900 },
      ],
    });
  });

  test("has the parts of a request one after the other, and what was called off", () => {
    const { recorder: one, at } = recorder();
    at(500).calledOff("asked");
    at(510).generated("asked", 100, { queuedMs: 10, prefillMs: 50, decodeMs: 0 });
    at(700).computed("ahead", "prefill", 600);
    expect(one.timeline).toEqual({
      marks: [{ at: 500, lane: "asked", kind: "calledOff" }],
      spans: [
        { lane: "asked", kind: "prefill", from: 110, to: 160 },
        { lane: "ahead", kind: "prefill", from: 600, to: 700 },
      ],
    });
  });

  test("has nothing to show where nothing is suggested", () => {
    const { recorder: one, at } = recorder();
    at(1).suggested("");
    at(2).finish();
    expect(one.timeline.spans).toEqual([]);
  });
});

test("the busiest part begins with a key and is there as a whole", () => {
  const key = (at: number) => ({ at, lane: "keys", kind: "key" }) as const;
  const shown = (from: number) => ({ lane: "shown", text: "x", from, to: from + 10 }) as const;
  const timeline: Timeline = {
    marks: [0, 1000, 2000, 3000, 4000].map(key),
    spans: [shown(500), shown(2100), shown(2500), shown(4000), shown(4100), shown(4200)],
  };
  expect(suggestionsShown(timeline, 2100, 1900)).toBe(2);
  expect(suggestionsShown(timeline, 2100, 1901)).toBe(3);
  expect(suggestionsShown(timeline, 2101, 1899)).toBe(1);
  expect(suggestionsShown({ marks: [], spans: [{ lane: "pause", from: 0, to: 9 }] }, 0, 10)).toBe(0);
  expect(busiestPart(timeline, 1000)).toBe(2000);
  expect(busiestPart(timeline, 10_000)).toBe(0);
  expect(busiestPart({ marks: [], spans: [] }, 1000)).toBe(0);
});

describe("the picture", () => {
  const plot = geometry.width - geometry.left - geometry.right;

  /** Left edges and widths of the bars of a kind, top to bottom. */
  function bars(svg: string, kind: string): { x: number; y: number; width: number }[] {
    const pattern = new RegExp(`<rect class="${kind}" x="([\\d.]+)" y="([\\d.]+)" width="([\\d.]+)"`, "g");
    const drawn = [...svg.matchAll(pattern)].map(([, x, y, width]) => ({
      x: Number(x),
      y: Number(y),
      width: Number(width),
    }));
    // The first one may be the legend's.
    return drawn.filter(({ y }) => y > geometry.top);
  }

  const draw = (timeline: Partial<Timeline>, rows = 1) =>
    timelinePicture({ marks: [], spans: [], ...timeline }, { title: "a < b", from: 1000, to: 3000, rows });

  test("has every span where and as long as it was", () => {
    const svg = draw({ spans: [{ lane: "asked", kind: "decode", from: 1500, to: 2500 }] });
    expect(bars(svg, "decode")).toMatchObject([{ x: geometry.left + plot / 4, width: plot / 2 }]);
  });

  test("goes on in the next row, and leaves out what is before and behind", () => {
    const spans: Timeline["spans"] = [
      { lane: "ahead", kind: "prefill", from: 1800, to: 2200 },
      { lane: "ahead", kind: "prefill", from: 0, to: 1000 },
      { lane: "ahead", kind: "prefill", from: 3000, to: 4000 },
    ];
    const [first, second, ...others] = bars(draw({ spans }, 2), "prefill");
    const fifth = expect.closeTo(plot * 0.2, 0) as number;
    expect(first).toMatchObject({ x: expect.closeTo(geometry.left + plot * 0.8, 0) as number, width: fifth });
    expect(second).toMatchObject({ x: geometry.left, width: fifth });
    expect(second?.y).toBeGreaterThan(first?.y ?? Infinity);
    expect(others).toEqual([]);
  });

  test("keeps asked for and ahead apart", () => {
    const spans: Timeline["spans"] = (["asked", "ahead"] as const).map((lane) => ({
      lane,
      kind: "prefill",
      from: 1100,
      to: 1200,
    }));
    const [asked, ahead] = bars(draw({ spans }), "prefill");
    expect(ahead?.y).toBeGreaterThan(asked?.y ?? Infinity);
  });

  test("shows what was suggested as far as there is room, and breaks no markup", () => {
    const svg = draw({ spans: [{ lane: "shown", text: 'if (a < b && "c") {\n}', from: 1000, to: 2000 }] });
    expect(svg).toContain(">if (a &lt; b &amp;&amp; &quot;c&quot;) {</text>");
    const short = draw({ spans: [{ lane: "shown", text: "a very long suggestion", from: 1000, to: 1100 }] });
    expect(short).toMatch(/>a ver[a-z ]*…<\/text>/);
    expect(svg).toContain("<title>a &lt; b</title>");
  });

  test("draws a sign for every mark of its time", () => {
    const marks: Timeline["marks"] = [
      { at: 1200, lane: "keys", kind: "key" },
      { at: 1300, lane: "keys", kind: "key" },
      { at: 1400, lane: "keys", kind: "moved" },
      { at: 1500, lane: "asked", kind: "calledOff" },
      { at: 3500, lane: "keys", kind: "key" },
    ];
    const svg = draw({ marks });
    // One of each kind is the legend's.
    expect(svg.match(/<line class="key"/g)).toHaveLength(3);
    expect(svg.match(/<circle class="moved"/g)).toHaveLength(2);
    expect(svg.match(/<path class="off"/g)).toHaveLength(2);
  });

  test("needs nothing from elsewhere", () => {
    expect(draw({}).replace("http://www.w3.org/2000/svg", "")).not.toMatch(/https?:|@import|@font-face|<image|<script/);
  });
});
