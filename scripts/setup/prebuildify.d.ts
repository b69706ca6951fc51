declare module "prebuildify" {
  interface Options {
    platform: string;
    arch: string;
    /** Where the build runs and leaves `build/Release/<any name>.node`. */
    cwd: string;
    /** Folder that gets `prebuilds/<platform>-<arch>/`. */
    out: string;
    /** File name in that folder, without its ending. */
    name: string;
    napi: boolean;
    targets: string[];
    /** Command to start in place of node-gyp. */
    nodeGyp: string;
    /** Whether `nodeGyp` is a command line. */
    shell: boolean;
    /** Folder whose contents are added. */
    artifacts: string;
  }
  function prebuildify(options: Options, done: (error?: Error) => void): void;
  export = prebuildify;
}
