// Entering Python so that a task woken there may suspend. Pyodide's callPromising first waits for a
// turn of its loop, because Python may stand on the stack that it is called from. In a handler of
// the browser none does, so what comes after that turn is done here at once.

export const STEP = 1; // what Python answers where a task is to be stepped in a call of its own

/**
 * Returns a function that calls `callable` like its callPromising, without the wait; undefined where
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

/**
 * Returns the functions by which nothing enters Python while Python is on the stack. Firefox handles
 * messages while a call from Python is under way in window.open, alert and the like, and synchronous
 * requests: a call into Python that may suspend would overwrite the stack of the Python that waits.
 *
 * isRunning() returns whether Python is on the stack; `ask`, a function of Python, returns the same.
 * whenFree(f) calls f in a later turn in which it is not. Functions are called in their order, each
 * in a turn of its own, since the one before may make such a call itself.
 */
export function createGuard(pyodide, ask, later) {
  const isReentrant = /Firefox/.test(globalThis.navigator?.userAgent);
  const waiting = [];
  // Python calls this, so a function that finds no frame now does not do what is expected of it.
  const currentFrame = pyodide?._PyEval_GetFrame;
  const isRunning = currentFrame?.() ? () => currentFrame() !== 0 : ask;

  const next = () => {
    if (waiting.length === 0) return;
    if (isRunning()) return void setTimeout(next);
    const f = waiting.shift();
    if (waiting.length) later(next);
    f();
  };
  const whenFree = (f) => {
    const isFirst = waiting.push(f) === 1;
    if (!isRunning()) later(next);
    else if (isFirst) setTimeout(next); // timers rest until the call from Python has returned
  };

  // Pyodide's own calls that may suspend, those of its event loop among them, wait for a turn in a
  // promise. Where a browser handles messages in the middle of a call, it settles such promises too,
  // so there each of them gets a turn of its own.
  const { API } = pyodide ?? {};
  const { scheduleCallback } = API ?? {};
  if (isReentrant && pyodide?.jspiSupported && typeof scheduleCallback === "function") {
    let isTaken = false; // whether this turn is
    const guard = (f) => () => {
      if (isTaken || waiting.length || isRunning()) return whenFree(f);
      isTaken = true;
      f();
      queueMicrotask(() => (isTaken = false)); // behind the call that f lets go on
    };
    API.scheduleCallback = (f, ...delay) => scheduleCallback(guard(f), ...delay);
  }
  return { isRunning, whenFree };
}
