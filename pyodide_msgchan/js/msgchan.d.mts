/**
 * Connections between windows for pages and workers without Python. They connect to pages that use
 * pyodide_msgchan, and to each other. The module has no dependencies.
 *
 *     const { port, peer, closed, close } = await connect(iframe, { origin: "https://app.example" });
 *     port.onmessage = ({ data }) => ...;
 *
 * Either side may start first. All times are in seconds, as in Python.
 */

/** Allows every origin: any page that is in the window at that moment may get the connection. */
export declare const ANY_ORIGIN: unique symbol;

/** Allows pages with an opaque origin, as sandboxed frames and files; browsers write it "null". */
export declare const OPAQUE_ORIGIN: unique symbol;

/** An exact origin, as `https://app.example`, or one of the two symbols above. */
export type Origin = string | typeof ANY_ORIGIN | typeof OPAQUE_ORIGIN;

export interface Options {
  /**
   * The origins that the other side may have; by default this page's own origin. A page with an
   * opaque origin must pass it. Only between two opaque pages are the ports posted to whichever page
   * is in the window. A worker and its owner have no origins, and passing one is a TypeError.
   */
  origin?: Origin | readonly Origin[] | undefined;
  /**
   * Identifies the connection; both sides must use the same name of at most 200 characters. The
   * default is "". Connections of different names can share a window.
   */
  name?: string | undefined;
  /** Seconds until the promise rejects; by default 10 for `connect` and no limit for `accept`. */
  timeout?: number | undefined;
  /** Ends the attempt when it is aborted. It has no effect on an open connection. */
  signal?: AbortSignal | undefined;
  /**
   * Seconds between two pings; by default there are none. After three pings without an answer the
   * connection is lost, also if the other side was only busy.
   */
  heartbeat?: number | undefined;
  /**
   * Called with each connection to a new peer that the page at the other end makes with Python's
   * `introduce`, and with the message that it sent along. Only that page says who the new peer is,
   * its origin included. Without this function introductions are refused.
   */
  onintroduction?: ((connection: Connection, message: unknown) => void) | undefined;
}

export interface AcceptOptions extends Options {
  /** The window to wait for, by default the parent, else the opener. In a worker it is the owner. */
  source?: Window | HTMLIFrameElement | null | undefined;
}

export interface Peer {
  /** The origin that the browser reports, "null" if opaque; null between a page and its worker. */
  readonly origin: string | null;
  /** What the peer runs on, in its own words: "javascript", or "pyodide" and a version. */
  readonly runtime: string;
  /** The version of the package that the peer runs, in its own words. */
  readonly version: string;
  /** What the peer can do, in its own words. */
  readonly capabilities: readonly string[];
}

export interface Closed {
  /**
   * "local": this side called `close`, or this page ended. "closed": the other side called `close`.
   * "lost": the other side's page was navigated away, removed, replaced, or sends nothing; or this
   * side did not answer for so long that the other side presumed it lost.
   */
  readonly reason: "closed" | "lost" | "local";
  /**
   * The number of lost messages of the other side. It is null if the number is not known, and if no
   * message was ever dispatched on the port, since all of them may still be in it.
   */
  readonly missing: number | null;
}

export interface Connection {
  /**
   * The native port, not started: set `onmessage`, or add a listener and call `start()`. It counts
   * what is posted on it, so that the other side knows how many messages to wait for. Don't transfer
   * it, and don't close it yourself.
   */
  readonly port: MessagePort;
  readonly peer: Peer;
  /** Whether the browser checked `peer.origin`; false for a peer that was introduced. */
  readonly originVerified: boolean;
  /**
   * Resolves when the connection has ended and everything that the other side had posted was
   * dispatched on `port`, or no message has arrived for 1 second. It never rejects. Messages in a
   * port that is not started yet stay there: the port is only closed once everything was dispatched,
   * or by `close`.
   *
   * The connection ends when the other side calls `close`, or when its page is navigated away, which
   * it reports at once if its thread is free. If that report is missing, this side notices an iframe
   * that loads another page (after 5 seconds without an answer if its page had just loaded), an
   * iframe that is removed and a window that is closed (within half a second), and any end of a
   * worker or of a page of the same origin (by a Web Lock, in secure contexts). `missing` is then
   * null. Only `heartbeat` detects that a page of another origin hangs.
   */
  readonly closed: Promise<Closed>;
  /**
   * Closes the connection. Messages posted before still reach the other side. Its messages are not
   * dispatched any more. Calling it again has no effect.
   */
  close(): void;
}

/** A connection could not be opened. */
export declare class HandshakeError extends Error {
  constructor(code: HandshakeError["code"], message: string, options?: ErrorOptions);
  /**
   * "timeout": no allowed page answered in time; the message lists the origins that were rejected.
   * "taken": the other side's `accept` of that name has a connection. "name-in-use": another
   * `accept` of this page waits under that name. "version": the other side speaks another version of
   * the handshake. "no-owner": there is no window to accept from. "gone": the frame was removed or
   * the window closed. "detached": the frame is in no document. "worker-failed": the worker's script
   * could not be loaded, or it raised an error (its event is the `cause`) and sent nothing for one
   * second. "aborted": the signal was aborted; its reason is the `cause`.
   *
   * An error that a worker raised before `connect` was called ends as a timeout.
   */
  readonly code:
    | "timeout"
    | "taken"
    | "name-in-use"
    | "version"
    | "no-owner"
    | "gone"
    | "detached"
    | "worker-failed"
    | "aborted";
}

/**
 * Connects to a frame, window or worker in which `accept`, or Python's `accept` or `listen`, is
 * called. If the page reloads meanwhile, the new page is connected to. If a connection of this page
 * to the same target and name has just ended and the other side does not know it yet, the call waits
 * instead of failing as "taken".
 *
 * Rejects with a HandshakeError, or with a TypeError if an argument is not valid.
 */
export declare function connect(
  target: HTMLIFrameElement | Window | Worker,
  options?: Options,
): Promise<Connection>;

/**
 * Waits for one `connect` from the parent, the opener, the owner of a worker, or the given source.
 * While the connection is open, every other `connect` to that name fails as "taken", unless another
 * `accept` of this page waits for it.
 *
 * Rejects with a HandshakeError, or with a TypeError if an argument is not valid.
 */
export declare function accept(options?: AcceptOptions): Promise<Connection>;
