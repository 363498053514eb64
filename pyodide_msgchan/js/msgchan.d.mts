/**
 * Connections between windows for pages and workers without Python: they meet pages that use
 * pyodide_msgchan, and each other. The module has no dependencies.
 *
 *     const { port, peer, closed, close } = await connect(iframe, { origin: "https://app.example" });
 *     port.onmessage = ({ data }) => ...;
 *
 * Either side may start first. All times are in seconds, as in Python.
 */

/** Every origin is allowed: any page that comes to stand in that window may take the connection. */
export declare const ANY_ORIGIN: unique symbol;

/** The origin of sandboxed frames and of files, which the browser calls "null". */
export declare const OPAQUE_ORIGIN: unique symbol;

/** An exact origin, as `https://app.example`, or one of the two that must be named. */
export type Origin = string | typeof ANY_ORIGIN | typeof OPAQUE_ORIGIN;

export interface Options {
  /**
   * Which origins the other side may have. Without it: this page's own; an opaque page has to name
   * one. Only between two opaque pages do the ports go to whichever page stands in the window.
   * Between a page and its worker there is no origin, and naming one is a TypeError.
   */
  origin?: Origin | readonly Origin[] | undefined;
  /** Connections of different names on one window never mix; at most 200 characters, "" without. */
  name?: string | undefined;
  /** Seconds until the promise is rejected: 10 for `connect`, none for `accept`. */
  timeout?: number | undefined;
  /** Gives up when it is aborted. Afterwards it has no effect on the connection. */
  signal?: AbortSignal | undefined;
  /**
   * Seconds between two questions whether the other side is there; none without it. After three
   * without an answer the connection is lost, also when the other side was only busy for so long.
   */
  heartbeat?: number | undefined;
  /**
   * Called with each connection to somebody else that the page at the other end arranges, and with
   * what that page sent along: Python's `introduce`. Who is there, its origin too, is that page's
   * word. Without it introductions are refused.
   */
  onintroduction?: ((connection: Connection, message: unknown) => void) | undefined;
}

export interface AcceptOptions extends Options {
  /** Who may call: without it the parent, else the opener. A worker always listens to its owner. */
  source?: Window | HTMLIFrameElement | null | undefined;
}

export interface Peer {
  /** As the browser tells it: "null" for an opaque one; null between a page and its worker. */
  readonly origin: string | null;
  /** Its own words: "javascript", or "pyodide" and a version. */
  readonly runtime: string;
  /** Of the package, over there. */
  readonly version: string;
  readonly capabilities: readonly string[];
}

export interface Closed {
  /**
   * "local": this side called `close`, or this page was left. "closed": the other side called
   * `close`. "lost": the other side's page was left, removed, replaced, or is silent; or this one
   * was silent for so long that the other side took it for lost.
   */
  readonly reason: "closed" | "lost" | "local";
  /**
   * How many messages of the other side are lost, as far as that is known: null where it is not,
   * and where no message was ever taken from the port, since all may still lie in it.
   */
  readonly missing: number | null;
}

export interface Connection {
  /**
   * The browser's own port, not started: set `onmessage`, or add a listener and `start()` it. It
   * counts what is posted on it, so that the other side knows what to wait for: neither transfer
   * it nor close it yourself.
   */
  readonly port: MessagePort;
  readonly peer: Peer;
  /** Whether the browser checked `peer.origin`; false for somebody who was introduced. */
  readonly originVerified: boolean;
  /**
   * Resolves when the connection is over and everything that the other side had posted was
   * dispatched on `port`, or nothing has come for 1 second. It never rejects. What lies in a port
   * that is not read yet stays there: the port is only closed when everything was dispatched, or
   * by `close`.
   *
   * What ends it: the other side's `close`; its page being left, which it tells at once while its
   * thread is free. Where that word does not come: an iframe element that loads anew (after 5
   * seconds of silence if its page had loaded just before), an iframe that is removed and a window
   * that is closed (half a second), a worker or page of the same origin that ends in whatever way
   * (by a Web Lock, in secure contexts). `missing` is then null. A page of another origin that
   * hangs is seen by `heartbeat` alone.
   */
  readonly closed: Promise<Closed>;
  /**
   * Ends the connection here. What was posted before still reaches the other side; what it sends
   * is not dispatched any more.
   */
  close(): void;
}

/** Two sides could not agree on a connection. */
export declare class HandshakeError extends Error {
  constructor(code: HandshakeError["code"], message: string, options?: ErrorOptions);
  /**
   * "timeout": nobody answered in time, and the message says who spoke; "taken": the other side
   * has its one connection of that name; "name-in-use": an `accept` of this page waits under that
   * name; "version": the other side speaks another version of the handshake; "no-owner": there is
   * nobody to accept from; "gone": the frame was removed, or the window closed; "detached": the
   * frame is in no document; "worker-failed": the worker's script could not be loaded, or raised
   * an error at its start, whose event is the `cause`, and said nothing for a second; "aborted": by
   * the signal, whose reason is the `cause`.
   *
   * What a worker did before `connect` was called can't be seen: one that had failed by then ends
   * as a timeout.
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
 * Connects to the page in a frame or window, or to a worker, which calls `accept` or, in Python,
 * `accept` or `listen`. A page that reloads meanwhile is connected to when it is there again. Where
 * a connection of this page to it has just ended, the next one waits until it has heard of that.
 *
 * Rejects with a HandshakeError, or a TypeError where an argument makes no sense.
 */
export declare function connect(
  target: HTMLIFrameElement | Window | Worker,
  options?: Options,
): Promise<Connection>;

/**
 * Takes one connection from the parent, the opener, the owner of a worker, or the given source.
 * While it lasts, every further caller of that name is told that it is taken, unless another
 * `accept` of this page waits for it.
 *
 * Rejects with a HandshakeError, or a TypeError where an argument makes no sense.
 */
export declare function accept(options?: AcceptOptions): Promise<Connection>;
