import { expect, it } from "vitest";
import { enginePaths, type PathsInput } from "../../../src/engine/paths";

const linux: PathsInput = {
  platform: "linux",
  env: { XDG_RUNTIME_DIR: "/run/user/1000" },
  home: "/home/ada",
  temporary: "/tmp",
  user: { name: "ada", id: 1000 },
};
const mac: PathsInput = { ...linux, platform: "darwin", env: {}, home: "/Users/ada", temporary: "/var/folders/x/T" };
const windows: PathsInput = {
  platform: "win32",
  env: { LOCALAPPDATA: "C:\\Users\\Ada\\AppData\\Local" },
  home: "C:\\Users\\Ada",
  temporary: "C:\\Temp",
  user: { name: "Ada", id: -1 },
};

it.each<[name: string, input: PathsInput, models: string, endpoint: RegExp]>([
  ["Linux", linux, "/home/ada/.local/share/nmos/models", /^\/run\/user\/1000\/nmos\/engine-\d+\.sock$/],
  [
    "Linux without a session",
    { ...linux, env: {} },
    "/home/ada/.local/share/nmos/models",
    /^\/tmp\/nmos-1000\/engine-\d+\.sock$/,
  ],
  [
    "a relative XDG folder, which is to be ignored",
    { ...linux, env: { XDG_RUNTIME_DIR: "run", XDG_DATA_HOME: "data" } },
    "/home/ada/.local/share/nmos/models",
    /^\/tmp\/nmos-1000\/engine-\d+\.sock$/,
  ],
  ["XDG_DATA_HOME", { ...linux, env: { XDG_DATA_HOME: "/data" } }, "/data/nmos/models", /^\/tmp\/nmos-1000\//],
  ["macOS", mac, "/Users/ada/Library/Application Support/nmos/models", /^\/var\/folders\/x\/T\/nmos-1000\/engine-/],
  ["Windows", windows, "C:\\Users\\Ada\\AppData\\Local\\nmos\\models", /^\\\\\.\\pipe\\nmos-[0-9a-f]{16}-\d+$/],
  [
    "Windows without LOCALAPPDATA",
    { ...windows, env: {} },
    "C:\\Users\\Ada\\AppData\\Local\\nmos\\models",
    /^\\\\\.\\pipe\\nmos-/,
  ],
  ["NMOS_HOME", { ...linux, env: { NMOS_HOME: "/mine" } }, "/mine/models", /^\/mine\/run\/engine-\d+\.sock$/],
  [
    "a folder whose socket's path would be too long for the kernel",
    { ...linux, env: { NMOS_HOME: `/${"long/".repeat(20)}home` } },
    `/${"long/".repeat(20)}home/models`,
    /^\/tmp\/nmos-1000-[0-9a-f]{16}\/engine-\d+\.sock$/,
  ],
  [
    "a long temporary folder as well",
    { ...mac, env: { NMOS_HOME: `/${"long/".repeat(20)}home` }, temporary: `/${"t".repeat(90)}` },
    `/${"long/".repeat(20)}home/models`,
    /^\/tmp\/nmos-1000-[0-9a-f]{16}\/engine-/,
  ],
])("%s", (_, input, models, endpoint) => {
  const paths = enginePaths(input);
  expect(paths.models).toBe(models);
  expect(paths.endpoint).toMatch(endpoint);
  expect(paths.socketDirectory === null).toBe(input.platform === "win32");
  expect(Buffer.byteLength(paths.endpoint)).toBeLessThanOrEqual(103);
});

it("two users, and two places, have different pipes", () => {
  const pipes = [
    windows,
    { ...windows, user: { name: "Bob", id: -1 } },
    { ...windows, env: { NMOS_HOME: "D:\\mine" } },
  ].map((input) => enginePaths(input).endpoint);
  expect(new Set(pipes).size).toBe(3);
});
