import { basename } from "node:path";
import { readWindowsBinary } from "./windows_binary";

/** Of an operand on the stack, in x64 machine code: the byte behind the one that says which kind of operand it is. */
const stackOperand = 0x24;

/** Compilers that optimise come to 0.05 of all bytes at most, those that do not to 0.07 at least, and 0.09 where numbers are crunched. */
const mostStackOperands = 0.06;

/** Whether machine code for x64 keeps every variable on the stack, as compilers write it that were not told to optimise. */
export function isUnoptimised(code: Uint8Array): boolean {
  return code.filter((byte) => byte === stackOperand).length > mostStackOperands * code.length;
}

/**
 * Throws when a DLL that computes was compiled without optimisation, as whole releases of packages for Windows were
 * (withcatai/node-llama-cpp#556): everything works with them, and takes fifteen times as long.
 */
export function checkOptimised(path: string): void {
  if (!/^ggml-(base|cpu-.*)\.dll$/.test(basename(path)) || !isUnoptimised(readWindowsBinary(path).code)) return;
  throw new Error(
    `${path} was compiled without optimisation: pin another package in native/engine_libraries.json that has this library.`,
  );
}
