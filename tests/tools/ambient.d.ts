// What the type checker is not told by its libraries.

// Node's ports and timers.
interface MessagePort {
  hasRef?(): boolean;
  unref?(): void;
}
interface Number {
  unref?(): void;
}

// What the site's build puts beside its pages.
declare module "*/vendor/comlink.mjs" {
  export const expose: any,
    proxy: any,
    releaseProxy: any,
    transfer: any,
    windowEndpoint: any,
    wrap: any;
}
declare module "*/vendor/uplot.mjs" {
  const uPlot: any;
  export default uPlot;
}
