declare module "node-api-headers" {
  /** Folder with node_api.h. */
  export const include_dir: string;
  export const def_paths: {
    /** The names of all functions that node_api.h declares, those of js_native_api.h included. */
    node_api_def: string;
  };
}
