// Entering Python so that a task woken there may suspend. Pyodide's callPromising first waits for a
// turn of its loop, because Python may stand on the stack that it is called from. In a handler of
// the browser none does, so what comes after that turn is done here at once.

export const STEP = 1; // what Python answers where a task is to be stepped in a call of its own

/**
 * Gives a function that calls `callable` like its callPromising, without the wait; undefined where
 * Pyodide's inner parts are not those that are known, or the engine can't suspend.
 */
export function promisingCall(pyodide, callable) {
  const { API, validSuspender, enterTask, promisingApply } = pyodide ?? {};
  const parts = [
    enterTask,
    promisingApply,
    pyodide?.PyProxy_getPtr,
    pyodide?.__pyproxy_apply_promising,
  ];
  if (!parts.every((part) => typeof part === "function")) return undefined;
  if (!pyodide.newJspiSupported || !/^314\.0\.\d+$/.test(API?.version)) return undefined;
  const pointer = pyodide.PyProxy_getPtr(callable);
  const free = [];
  return async (...args) => {
    const raised = free.pop() ?? pyodide._malloc(4);
    try {
      let result;
      enterTask();
      pyodide._check_gil();
      const before = validSuspender.value;
      validSuspender.value = false;
      try {
        [result] = await promisingApply(pointer, args, args.length, [], 0, raised);
      } catch (error) {
        API.fatal_error(error); // which is what Pyodide does: Python is gone
      }
      validSuspender.value = before;
      if (result !== pyodide.error) return result;
      pyodide._PyErr_SetRaisedException(pyodide.HEAPU32[raised >>> 2]);
      return pyodide._pythonexc2js(); // throws it
    } finally {
      free.push(raised);
    }
  };
}
