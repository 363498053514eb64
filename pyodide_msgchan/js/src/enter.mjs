// Calls into Python in which a woken task may suspend. Pyodide's callPromising first waits for a
// turn of its loop, because Python may be on the stack of its caller. In an event handler of the
// browser Python is not on the stack, so the call is made here at once.

export const STEP = 1; // Python returns it if a task must be stepped in a call of its own

/**
 * Return a function that calls `callable` like its callPromising, but without the wait. Return
 * undefined if Pyodide's internal functions are not the expected ones, or the engine can't suspend.
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
        API.fatal_error(error); // as Pyodide does: Python can't go on
      }
      validSuspender.value = before;
      if (result !== pyodide.error) return result;
      pyodide._PyErr_SetRaisedException(pyodide.HEAPU32[raised >>> 2]);
      return pyodide._pythonexc2js(); // throws the exception
    } finally {
      free.push(raised);
    }
  };
}

/**
 * Return functions that prevent calls into Python while Python is on the stack. Firefox dispatches
 * messages during calls from Python such as window.open, alert and synchronous requests. A call
 * into Python that may suspend would then overwrite the stack of the Python that waits.
 *
 * isRunning() returns whether Python is on the stack; `isRunningFallback`, a function of Python,
 * returns the same. whenFree(callback) calls a function in a later turn, when Python is not on the
 * stack. Functions are called in order, each in a turn of its own, since each may make such a call.
 */
export function createGuard(pyodide, isRunningFallback, runLater) {
  const isReentrant = /Firefox/.test(globalThis.navigator?.userAgent);
  const pending = [];
  // Python is calling this function, so a `currentFrame` that finds no frame now can't be used.
  const currentFrame = pyodide?._PyEval_GetFrame;
  const isRunning = currentFrame?.() ? () => currentFrame() !== 0 : isRunningFallback;

  const runNext = () => {
    if (pending.length === 0) return;
    if (isRunning()) return void setTimeout(runNext);
    const callback = pending.shift();
    if (pending.length) runLater(runNext);
    callback();
  };
  const whenFree = (callback) => {
    const isFirst = pending.push(callback) === 1;
    if (!isRunning()) runLater(runNext);
    else if (isFirst) setTimeout(runNext); // timers don't run before the call from Python has returned
  };

  // Pyodide's own calls that may suspend, including those of its event loop, wait for a turn in a
  // promise. A browser that dispatches messages during a call settles these promises during it,
  // too, so each of them gets a turn of its own here.
  const { API } = pyodide ?? {};
  const { scheduleCallback } = API ?? {};
  if (isReentrant && pyodide?.jspiSupported && typeof scheduleCallback === "function") {
    let isTurnTaken = false; // true if a call has used this turn
    const deferIfBusy = (callback) => () => {
      if (isTurnTaken || pending.length || isRunning()) return whenFree(callback);
      isTurnTaken = true;
      callback();
      queueMicrotask(() => (isTurnTaken = false)); // after the call that the callback continues
    };
    API.scheduleCallback = (callback, ...delay) =>
      scheduleCallback(deferIfBusy(callback), ...delay);
  }
  return { isRunning, whenFree };
}
