// A frame or popup that runs Python: py/frame.py does the talking.
import { boot } from "../shared/boot.mjs";
import { frameSetup, reportFailure } from "./parent.mjs";

const setup = frameSetup();
if (setup) {
  const { name, hostOrigin, panel } = setup;
  void boot({
    panel,
    code: new URL("py/", import.meta.url),
    modules: ["frame", "mesh", "pictures", "mandelbrot"],
    page: { name, panel, host_origin: hostOrigin },
    onfail: (words) => reportFailure(hostOrigin, words),
  });
}
