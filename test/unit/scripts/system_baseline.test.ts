import { describe, expect, it } from "vitest";
import { hostPlatform } from "../../../scripts/setup/engine_libraries";
import { parseSymbolVersion } from "../../../scripts/setup/elf_binary";
import { readNativeBinary, type NativeBinary } from "../../../scripts/setup/native_binary";
import { packBaselineOf, problemsOf, type SystemBaseline } from "../../../scripts/setup/system_baseline";

const baseline: SystemBaseline = {
  system: "Debian 12",
  libraries: ["libc.so.6", "api-ms-win-crt-*.dll"],
  drivers: { "libggml-vulkan.so": ["libvulkan.so.1"] },
  package: [],
  versions: { GLIBC: "2.34" },
};

const taking = (library: string, ...names: string[]) => ({ functions: [{ library, names }] });

const glibc = (version: string) => ({ versions: [{ of: "GLIBC", version }] });

describe("a package that holds libggml.so and", () => {
  it.each<[what: string, file: string, binary: Partial<NativeBinary>, problem: string | null]>([
    ["what needs the system", "nmos.node", { imports: ["libc.so.6"] }, null],
    ["what needs one of several of the system", "nmos.node", { imports: ["API-MS-Win-CRT-heap-l1-1-0.dll"] }, null],
    ["what needs its sibling", "nmos.node", { imports: ["libggml.so"] }, null],
    ["what needs its sibling by a path", "nmos.node", { imports: ["@rpath/libggml.so"] }, null],
    ["what needs something else", "nmos.node", { imports: ["libfoo.so"] }, "needs libfoo.so, which is neither"],
    ["a backend that needs its driver", "libggml-vulkan.so", { imports: ["libvulkan.so.1"] }, null],
    ["what needs the driver of a backend", "nmos.node", { imports: ["libvulkan.so.1"] }, "needs libvulkan.so.1"],
    ["what nobody can read", "nmos.node", { imports: [] }, "its tables were not understood"],
    ["the newest version", "nmos.node", glibc("2.34"), null],
    ["an older version with more digits", "nmos.node", glibc("2.4.999"), null],
    ["a newer version", "nmos.node", glibc("2.35"), "needs GLIBC 2.35; Debian 12 has 2.34"],
    ["a newer version with more digits", "nmos.node", glibc("2.34.1"), "needs GLIBC 2.34.1"],
    ["versions of what is not there", "nmos.node", { versions: [{ of: "QT", version: "1" }] }, "Debian 12 has none"],
    ["functions that Windows has long had", "nmos.node", taking("KERNEL32.dll", "CreateFileW", "CloseHandle"), null],
    [
      "a function of a later Windows",
      "nmos.node",
      taking("KERNEL32.dll", "CloseHandle", "GetTempPath2W"),
      "nmos.node takes GetTempPath2W of KERNEL32.dll, of which it is not known that Debian 12 has it",
    ],
    ["a function without a name", "nmos.node", taking("ntdll.dll", "#12"), "takes #12 of ntdll.dll"],
    ["functions of what it brings itself", "nmos.node", taking("ggml-base.dll", "ggml_init"), null],
    ["an addon that looks beside itself", "nmos.node", { searchPaths: ["$ORIGIN"] }, null],
    ["an addon that looks elsewhere", "nmos.node", { searchPaths: ["/home/me"] }, "looks for libraries in /home/me"],
    ["an addon that looks anywhere", "nmos.node", { searchPaths: [""] }, "in the folder it is started in"],
  ])("%s", (_, file, binary, problem) => {
    const usual: NativeBinary = { imports: ["libc.so.6"], searchPaths: [], versions: [] };
    const files = new Map([
      ["libggml.so", usual],
      [file, { ...usual, ...binary }],
    ]);
    const problems = problemsOf(files, baseline);
    expect(problems).toHaveLength(problem === null ? 0 : 1);
    expect(problems.join()).toContain(problem ?? "");
  });
});

describe("an engine pack for Windows", () => {
  it.each<[what: string, file: string, library: string, problem: string | null]>([
    ["a backend that needs its driver", "ggml-cuda.dll", "nvcuda.dll", null],
    ["a backend that needs ggml", "ggml-cuda.dll", "ggml-base.dll", null],
    ["a backend that needs NVIDIA's library", "ggml-cuda.dll", "cublas64_13.dll", null],
    ["a library that needs the driver", "cublas64_13.dll", "nvcuda.dll", "cublas64_13.dll needs nvcuda.dll"],
    ["a backend that needs what is not packed", "ggml-cuda.dll", "cudart64_13.dll", "needs cudart64_13.dll"],
    ["a part of the system", "ggml-cuda.dll", "api-ms-win-core-file-l1-1-0.dll", null],
    ["a later version of it", "ggml-cuda.dll", "api-ms-win-core-file-l1-2-5.dll", "needs api-ms-win-core-file-l1-2-5"],
  ])("%s", (_, file, library, problem) => {
    const usual: NativeBinary = { imports: ["KERNEL32.dll"], searchPaths: [], versions: [] };
    const files = new Map([
      ["ggml-cuda.dll", usual],
      ["cublas64_13.dll", usual],
      [file, { ...usual, imports: [library] }],
    ]);
    const problems = problemsOf(files, packBaselineOf("win32-x64"));
    expect(problems).toHaveLength(problem === null ? 0 : 1);
    expect(problems.join()).toContain(problem ?? "");
  });
});

describe("a symbol version", () => {
  it.each([
    ["GLIBC_2.34", "GLIBC", "2.34"],
    ["GLIBCXX_3.4.30", "GLIBCXX", "3.4.30"],
    ["GLIBC_ABI_DT_RELR", "GLIBC", "2.36"],
  ])("%s is understood", (text, of, version) => {
    expect(parseSymbolVersion(text, "a.so")).toEqual({ of, version });
  });

  it.each(["GLIBC_PRIVATE", "GLIBC_ABI_NEW", "1.2", ""])("%j is refused", (text) => {
    expect(() => parseSymbolVersion(text, "a.so")).toThrow("a.so needs the symbol version");
  });
});

it("the tables of this system's programs are understood", () => {
  const { imports, versions } = readNativeBinary(process.execPath, hostPlatform);
  const [library, part] = {
    linux: [/^libc\.so\.6$/, "GLIBC"] as const,
    darwin: [/libSystem/, "macOS"] as const,
    win32: [/^kernel32\.dll$/i, "Windows"] as const,
  }[process.platform as "linux" | "darwin" | "win32"];
  expect(imports.filter((name) => library.test(name))).toHaveLength(1);
  const own = versions.filter(({ of }) => of === part);
  expect(own.length).toBeGreaterThan(0);
  expect(own.every(({ version }) => Number.parseFloat(version) >= 2)).toBe(true);
});
