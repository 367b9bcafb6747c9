declare module 'node-gyp-build' {
  /** Loads the addon of the package in this folder: a prebuilt one, or the one built here. */
  function load(folder: string): unknown;
  export = load;
}
