import { afterEach, describe, expect, it, vi } from "vitest";
import { trustedCertificates } from "../../../src/engine/models/dispatcher";
import { behavioursOf, startFileServer, startProxy } from "./file_server";
import { bytes, download, timing } from "./run_download";

const { good } = behavioursOf(bytes);

/** From where the address of the proxy is known. */
type Known = "setting" | "environment" | "nowhere";

afterEach(() => {
  vi.unstubAllEnvs();
});

describe("a download through a proxy", () => {
  const cases: [known: Known, noProxy: { environment?: string; setting?: string }, status: number, used: boolean][] = [
    ["setting", {}, 200, true],
    ["environment", {}, 200, true],
    ["nowhere", {}, 200, false],
    ["setting", { environment: "127.0.0.1" }, 200, false],
    ["environment", { environment: "127.0.0.1" }, 200, false],
    ["setting", { setting: "127.0.0.1" }, 200, false],
    ["environment", { setting: "127.0.0.1" }, 200, false],
    ["environment", { setting: "*" }, 200, false],
    ["environment", { setting: "*", environment: "a.example" }, 200, false],
    ["setting", { setting: "a.example", environment: "127.0.0.1" }, 200, false],
    ["setting", { setting: "127.0.0.1", environment: "a.example" }, 200, false],
    ["setting", { setting: "a.example", environment: "b.example" }, 200, true],
    ["setting", {}, 407, true],
  ];

  it.each(cases)("known from %s, reached directly %j, status %i: used %s", async (known, noProxy, status, used) => {
    const proxy = await startProxy(status);
    for (const name of ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY"]) {
      vi.stubEnv(name, known === "environment" ? proxy.url : "");
    }
    for (const name of ["no_proxy", "NO_PROXY"]) vi.stubEnv(name, noProxy.environment ?? "");
    const server = await startFileServer([good()]);
    const outcome = await download([], {
      url: `${server.url}/model.gguf`,
      proxy: known === "setting" ? proxy.url : "",
      noProxy: noProxy.setting ?? "",
      timing: { ...timing, mostFailures: 2 },
    });
    await Promise.all([proxy.close(), server.close()]);
    expect(outcome.ends, outcome.message).toBe(status === 200 ? "done" : "DOWNLOAD_FAILED");
    expect(new Set(proxy.hosts)).toEqual(new Set(used ? [new URL(server.url).host] : []));
  });

  const wrong = ["proxy.example:8080", "socks5://proxy:1080", "http://", "nonsense"];
  it.each(wrong)("refuses the setting %j at once", async (proxy) => {
    const outcome = await download([good()], { proxy });
    expect([outcome.ends, outcome.asked]).toEqual(["DOWNLOAD_FAILED", []]);
    expect(outcome.message).toContain("http.proxy");
  });
});

describe("the certificates that are trusted", () => {
  const unreadable = (): string[] => {
    throw new Error("no store");
  };
  const cases: [what: string, own: () => string[], systems: () => string[], trusted: string[] | undefined][] = [
    ["of Node and the system", () => ["a"], () => ["b"], ["a", "b"]],
    ["of both, once", () => ["a", "b"], () => ["b"], ["a", "b"]],
    ["of a system without any", () => ["a"], () => [], ["a"]],
    ["of nobody known", () => [], () => [], undefined],
    ["of an unreadable store", () => ["a"], unreadable, undefined],
  ];

  it.each(cases)("%s", (_, own, systems, trusted) => {
    expect(trustedCertificates((store) => (store === "default" ? own() : systems()))).toEqual(trusted);
  });
});
