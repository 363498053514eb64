// Turns of the browser's event loop that come sooner than a timer's.

const MAX_COALESCE_MS = 20; // a busy page may never become idle

/** Return functions that call another in a turn of its own: in the next one, or when the page is idle. */
export function createTurns() {
  const { port1, port2 } = new MessageChannel();
  /** @type {(() => void)[]} */ const pending = [];
  port1.onmessage = () => pending.shift()?.();
  port1.unref?.(); // else Node would not exit
  const runInMacrotask = (callback) => {
    pending.push(callback);
    port2.postMessage(0);
  };
  const runWhenIdle = (callback) => {
    const { scheduler } = /** @type {any} */ (globalThis);
    if (!scheduler?.postTask) return runInMacrotask(callback);
    void scheduler.postTask(callback, { priority: "background" });
    setTimeout(callback, MAX_COALESCE_MS);
  };
  return { runInMacrotask, runWhenIdle };
}
