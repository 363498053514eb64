// Web Locks, which show a peer of the same origin that this page or worker has ended.

/** The lock of this page or worker. */
export class OwnLock {
  /** Its name, "" if there is none, or a promise for it. @type {string | Promise<string> | undefined} */
  #lock;

  /** Return its name if it is held, else "". */
  held() {
    return typeof this.#lock === "string" ? this.#lock : "";
  }

  /**
   * Hold one lock while this page or worker lives. Peers learn its name only once it is held, since a
   * peer that waited for it earlier would get it. Return the name or a promise for it.
   */
  hold() {
    if (this.#lock !== undefined || !navigator.locks || self.origin === "null")
      return (this.#lock ??= "");
    const name = `pyodide_msgchan ${crypto.randomUUID()}`;
    return (this.#lock = new Promise((resolve) => {
      const held = () => (resolve((this.#lock = name)), new Promise(() => {}));
      navigator.locks.request(name, held).catch(() => resolve((this.#lock = "")));
    }));
  }
}

/** Call a function when the holder of a lock has ended; return a function that ends this. */
export function awaitLock(name, onEnd) {
  const { locks } = navigator;
  const stop = new AbortController();
  const { signal } = stop;
  const wait = () => locks.request(name, { signal }, onEnd);
  // A lock that is free at once belongs to another storage partition, so it shows nothing.
  const request = locks.request(name, { ifAvailable: true }, (free) => free ?? wait());
  request.catch(() => {}); // It was aborted.
  return () => stop.abort();
}
