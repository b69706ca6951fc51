declare module "node-gyp-build" {
  /** Finds the addon below `root/prebuilds` that suits this machine and loads it. */
  function nodeGypBuild(root: string): unknown;
  export = nodeGypBuild;
}
