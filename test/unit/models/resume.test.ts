import { randomBytes } from "node:crypto";
import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { patiently } from "../../../src/engine/models/held_file";
import { PartialFile, type PartialState } from "../../../src/engine/models/partial_file";
import { behavioursOf, startFileServer } from "./file_server";
import { bytes, download, sha256 } from "./run_download";
import { temporaryDirectories } from "./temporary_directory";

const { good, inPieces, status } = behavioursOf(bytes);
const directory = temporaryDirectories();

/** Leaves the beginning of a download on disk, as an earlier run would have. */
function leave(part: Buffer, state: Partial<PartialState> | string | null): string {
  const target = join(directory(), "model.gguf");
  writeFileSync(`${target}.part`, part);
  const text = typeof state === "string" ? state : JSON.stringify(state);
  if (state !== null) writeFileSync(`${target}.part.json`, text);
  return target;
}

describe("what an earlier run left", () => {
  const half = bytes.subarray(0, 500_000);
  const known = { sha256, etag: '"one"' };
  const cases: [what: string, part: Buffer, state: Partial<PartialState> | string | null, asked: number[]][] = [
    ["half of the file is continued", half, { ...known, url: "http://elsewhere/" }, [500_000]],
    ["all of the file is only verified", bytes, { ...known, url: "" }, []],
    ["one byte is continued", bytes.subarray(0, 1), { ...known, url: "" }, [1]],
    ["nothing is begun", Buffer.alloc(0), { ...known, url: "" }, [0]],
    ["more than the file is dropped", Buffer.concat([bytes, half]), { ...known, url: "" }, [0]],
    ["bytes of another file are dropped", half, { ...known, url: "", sha256: "0".repeat(64) }, [0]],
    ["bytes without a state are dropped", half, null, [0]],
    ["bytes with a damaged state are dropped", half, "{", [0]],
    ["bytes with a strange state are dropped", half, "null", [0]],
  ];

  it.each(cases)("%s", async (_, part, state, asked) => {
    const outcome = await download([good()], { target: leave(part, state) });
    expect(outcome.ends, outcome.message).toBe("done");
    expect(outcome.asked).toEqual(asked);
    expect(readFileSync(outcome.target).equals(bytes)).toBe(true);
  });

  it("is dropped when its bytes turn out wrong, and the next run begins anew", async () => {
    const target = leave(randomBytes(500_000), { ...known, url: "" });
    const first = await download([good()], { target });
    expect(first.ends).toBe("CHECKSUM_MISMATCH");
    expect(new PartialFile(target).size).toBe(0);
    const second = await download([good()], { target });
    expect([second.ends, second.asked]).toEqual(["done", [0]]);
  });

  it("replaces a damaged file of the same name only when the download is complete", async () => {
    const target = leave(half, { ...known, url: "" });
    writeFileSync(target, "damaged");
    const failed = await download([status(404)], { target });
    expect([failed.ends, readFileSync(target, "utf8")]).toEqual(["DOWNLOAD_FAILED", "damaged"]);
    expect((await download([good()], { target })).ends).toBe("done");
    expect(readFileSync(target).equals(bytes)).toBe(true);
  });
});

describe("the validator of the bytes on disk", () => {
  const cases: [what: string, etag: string | null, sameServer: boolean, sent: string | null][] = [
    ["is sent to the server it is from", '"one"', true, '"one"'],
    ["is not sent to another server", '"one"', false, null],
    ["is not sent when it is weak", 'W/"one"', true, null],
    ["is not there", null, true, null],
  ];

  it.each(cases)("%s", async (_, etag, sameServer, sent) => {
    const { url, seen, close } = await startFileServer([good(etag ?? '"one"')]);
    const address = `${url}/model.gguf`;
    const from = sameServer ? address : "http://elsewhere/model.gguf";
    const target = leave(bytes.subarray(0, 9), { sha256, etag, url: from });
    const { ends } = await download([], { target, url: address });
    await close();
    expect(ends).toBe("done");
    expect(seen).toEqual([{ path: "/model.gguf", range: "bytes=9-", ifRange: sent }]);
  });
});

describe("a partial file that somebody removes again and again", () => {
  it("ends the download", async () => {
    const target = join(directory(), "model.gguf");
    const part = new PartialFile(target);
    const { ends, message } = await download(
      [
        ({ response }) => {
          response.writeHead(200, { "content-length": bytes.length });
          response.write(bytes.subarray(0, 400_000));
          const removeThenGoOn = () => {
            if (part.size === 0) return void setImmediate(removeThenGoOn);
            part.discard();
            response.end(bytes.subarray(400_000));
          };
          removeThenGoOn();
        },
      ],
      { target },
    );
    expect([ends, message]).toEqual(["DOWNLOAD_FAILED", expect.stringContaining("changed by somebody else")]);
  });
});

describe("a pause", () => {
  it("keeps the bytes, and the next run asks for the rest alone", async () => {
    const target = join(directory(), "model.gguf");
    const stop = new AbortController();
    const part = new PartialFile(target);
    const paused = await download(
      [
        (answer) => {
          answer.response.writeHead(200, { "content-length": bytes.length, etag: '"one"' });
          answer.response.write(bytes.subarray(0, 400_000));
          const waitForBytes = () => {
            if (part.size > 0) stop.abort();
            else setImmediate(waitForBytes);
          };
          waitForBytes();
        },
      ],
      { target, signal: stop.signal },
    );
    expect(paused.ends).toBe("CANCELLED");
    expect(existsSync(target)).toBe(false);
    const kept = part.size;
    expect(kept).toBeGreaterThan(0);
    expect(readFileSync(part.path).equals(bytes.subarray(0, kept))).toBe(true);

    const resumed = await download([good()], { target });
    expect([resumed.ends, resumed.asked]).toEqual(["done", [kept]]);
    expect(readFileSync(target).equals(bytes)).toBe(true);
  });

  const moments = ["connecting", "waiting", "verifying"] as const;
  it.each(moments)("ends the download while it is %s", async (phase) => {
    const stop = new AbortController();
    const answer = phase === "waiting" ? status(500) : good();
    const outcome = await download([answer], {
      signal: stop.signal,
      onProgress: (progress) => {
        if (progress.phase === phase) stop.abort();
      },
    });
    expect(outcome.ends).toBe("CANCELLED");
    expect(existsSync(outcome.target)).toBe(false);
  });

  it("before the beginning asks nothing", async () => {
    const outcome = await download([good()], { signal: AbortSignal.abort() });
    expect([outcome.ends, outcome.asked]).toEqual(["CANCELLED", []]);
  });
});

describe("progress", () => {
  it("never goes back without a failure, ends with all bytes verified and knows the size", async () => {
    const { progress } = await download([inPieces(10_000)]);
    const received = progress.filter(({ phase }) => phase !== "verifying").map(({ receivedBytes }) => receivedBytes);
    expect(received).toEqual(received.toSorted((a, b) => a - b));
    expect(progress.at(-1)).toEqual({
      phase: "verifying",
      receivedBytes: bytes.length,
      totalBytes: bytes.length,
      bytesPerSecond: 0,
    });
    expect(new Set(progress.map(({ totalBytes }) => totalBytes))).toEqual(new Set([bytes.length]));
  });

  it("says why it waits", async () => {
    const { progress } = await download([status(503), good()]);
    const waiting = progress.filter(({ phase }) => phase === "waiting");
    expect(waiting.map(({ message }) => message)).toEqual(["the server answers 503; next try in 1 s"]);
  });
});

describe("work with a file that somebody holds", () => {
  const cases: [code: string, failures: number, done: boolean][] = [
    ["EPERM", 3, true],
    ["EBUSY", 19, true],
    ["EBUSY", 20, false],
    ["ENOENT", 1, false],
  ];

  it.each(cases)("%s, %i times: %s", async (code, failures, done) => {
    let left = failures;
    const work = () => (left-- > 0 ? Promise.reject(Object.assign(new Error("held"), { code })) : Promise.resolve());
    const outcome = await patiently(work, { pauseMs: 0 }).then(
      () => true,
      () => false,
    );
    expect(outcome).toBe(done);
  });
});

describe("a full disk", () => {
  it("keeps what is there and counts only what is missing", async () => {
    const target = leave(bytes.subarray(0, 600_000), { sha256, etag: null, url: "" });
    const margin = 200 * 2 ** 20;
    const justTooLittle = await download([good()], { target, freeBytes: () => Promise.resolve(margin + 399_999) });
    expect([justTooLittle.ends, statSync(`${target}.part`).size]).toEqual(["DISK_FULL", 600_000]);
    const enough = await download([good()], { target, freeBytes: () => Promise.resolve(margin + 400_000) });
    expect(enough.ends).toBe("done");
  });
});

describe("a folder that cannot be made", () => {
  it("is named, with the setting that chooses another", async () => {
    const file = join(directory(), "file");
    writeFileSync(file, "");
    const { ends, message } = await download([good()], { target: join(file, "model.gguf") });
    expect(ends).toBe("DOWNLOAD_FAILED");
    expect(message).toMatch(/model\.gguf cannot be written .*nmos\.engine\.modelsDirectory/);
  });
});
