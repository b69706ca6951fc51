import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { readWindowsBinary } from "../../../scripts/setup/windows_binary";
import { temporaryDirectories } from "../models/temporary_directory";

const directory = temporaryDirectories();

/** Where the one section begins, in the file and in memory. */
const [offset, address] = [0x200, 0x1000];

/**
 * A DLL of one section that imports two libraries, by the fields of Microsoft's PE format: the first with a table of names, the
 * second with addresses only.
 */
function smallDll(): Buffer {
  const bytes = Buffer.alloc(0x400);
  const [header, optional] = [0x40, 0x40 + 24];
  bytes.writeUInt32LE(header, 0x3c);
  bytes.write("PE\0\0", header, "latin1");
  bytes.writeUInt16LE(1, header + 6);
  bytes.writeUInt16LE(0xf0, header + 20);
  bytes.writeUInt16LE(0x20b, optional);
  bytes.writeUInt16LE(10, optional + 48);
  bytes.writeUInt32LE(address, optional + 112 + 8);
  const section = optional + 0xf0;
  for (const [at, value] of [
    [12, address],
    [16, 0x200],
    [20, offset],
    [36, 0x20],
  ] as const) {
    bytes.writeUInt32LE(value, section + at);
  }
  const text = (at: number, value: string) => bytes.write(value, offset + at, "latin1");
  const number = (at: number, value: number) => bytes.writeUInt32LE(address + value, offset + at);
  // Two libraries and the entry of zeros, 20 bytes each: names at 0, the library's at 12, addresses at 16.
  number(0, 0x80);
  number(12, 0x100);
  number(16, 0x180);
  number(20 + 12, 0x110);
  number(20 + 16, 0xa0);
  text(0x100, "KERNEL32.dll");
  text(0x110, "ntdll.dll");
  // Names follow two bytes of a hint.
  number(0x80, 0x120);
  text(0x122, "CloseHandle");
  number(0x88, 0x140);
  text(0x142, "CreateFileW");
  bytes.writeBigUInt64LE(0x800000000000000cn, offset + 0xa0);
  return bytes;
}

it("names of libraries and of functions are read, and functions that have only a number", () => {
  const path = join(directory(), "small.dll");
  writeFileSync(path, smallDll());
  expect(readWindowsBinary(path)).toEqual({
    exports: [],
    imports: ["KERNEL32.dll", "ntdll.dll"],
    functions: [
      { library: "KERNEL32.dll", names: ["CloseHandle", "CreateFileW"] },
      { library: "ntdll.dll", names: ["#12"] },
    ],
    windowsVersion: "10.0",
    code: smallDll().subarray(offset),
  });
});
