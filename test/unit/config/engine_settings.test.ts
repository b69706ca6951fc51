import { beforeEach, describe, expect, test, vi } from "vitest";
import { DEFAULT_ENGINE_SETTINGS } from "../../../src/shared/engine_settings";
import { fake } from "../providers/fake_vscode";

vi.mock("vscode", () => import("../providers/fake_vscode"));

const { engineSettings, onEngineSettingsChanged } = await import("../../../src/config/engine_settings");

beforeEach(() => {
  fake.reset();
});

test("nothing set is what the engine host begins with", () => {
  expect(engineSettings()).toEqual(DEFAULT_ENGINE_SETTINGS);
});

describe("the proxy settings of VS Code", () => {
  function check(http: Record<string, unknown>, proxy: string, noProxy: string): void {
    test(JSON.stringify(http), () => {
      for (const [name, value] of Object.entries(http)) fake.settings.set(`http.${name}`, value);
      const { proxy: gotProxy, noProxy: gotNoProxy } = engineSettings();
      expect([gotProxy, gotNoProxy]).toEqual([proxy, noProxy]);
    });
  }

  const proxy = "http://proxy.example:8080";
  check({ proxy }, proxy, "");
  check({ proxy, noProxy: ["a.example", ".b.example"] }, proxy, "a.example,.b.example");
  check({ noProxy: ["a.example"] }, "", "a.example");
  check({ noProxy: "a.example" }, "", "");
  check({ proxy, proxySupport: "override" }, proxy, "");
  check({ proxy, noProxy: ["a.example"], proxySupport: "off" }, "", "*");
});

test.each(["nmos.engine.threads", "nmos.download.mirror", "http.proxy", "http.noProxy", "http.proxySupport"])(
  "a change of %s reaches the engine",
  (name) => {
    const told: unknown[] = [];
    const listener = onEngineSettingsChanged((settings) => told.push(settings));
    fake.change(name, undefined);
    fake.change("editor.fontSize", 12);
    listener.dispose();
    expect(told).toEqual([DEFAULT_ENGINE_SETTINGS]);
  },
);
