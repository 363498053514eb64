// Uses the whole surface of msgchan.mjs: the type checker has to agree with each line, and has to
// complain where a line says so.
import {
  accept,
  ANY_ORIGIN,
  connect,
  HandshakeError,
  OPAQUE_ORIGIN,
  type Connection,
  type Origin,
} from "../../pyodide_msgchan/js/msgchan.mjs";

export async function host(frame: HTMLIFrameElement, popup: Window, worker: Worker): Promise<void> {
  const origins: readonly Origin[] = ["https://app.example", OPAQUE_ORIGIN];
  const signal = AbortSignal.timeout(1000);
  const connections: Connection[] = [
    await connect(frame, { origin: origins, name: "editor", timeout: 1.5, signal, heartbeat: 5 }),
    await connect(popup, { origin: ANY_ORIGIN }),
    await connect(worker),
  ];
  for (const { port, peer, closed, close } of connections) {
    port.postMessage({ from: peer.origin?.length, by: peer.runtime.length + peer.version.length });
    port.postMessage(peer.capabilities.includes("clone"));
    const { reason, missing }: { reason: "closed" | "lost" | "local"; missing: number | null } =
      await closed;
    port.postMessage([reason, missing]);
    close();
  }
}

export async function guest(frame: HTMLIFrameElement): Promise<string | null> {
  try {
    await accept({
      onintroduction: ({ originVerified, close }, said) => said ?? (originVerified || close()),
    });
    await accept({ source: frame, origin: ANY_ORIGIN });
    return (await accept({ source: window.opener as Window | null, name: "x" })).peer.origin;
  } catch (error) {
    if (!(error instanceof HandshakeError)) throw error;
    const code:
      | "timeout"
      | "taken"
      | "name-in-use"
      | "version"
      | "no-owner"
      | "gone"
      | "detached"
      | "worker-failed"
      | "aborted" = error.code;
    return code;
  }
}

// @ts-expect-error: a symbol of one's own is no origin
void accept({ origin: Symbol("*") });
// @ts-expect-error: only two names and strings are origins
void connect(window, { origin: 1 });
// @ts-expect-error: a caller has a target, no source
void connect(window, { source: window });
// @ts-expect-error: a port is no target
void connect(new MessageChannel().port1);
