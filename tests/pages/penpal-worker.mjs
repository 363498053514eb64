// Penpal, as npm has it, in a worker.
import { connect, toWorker } from "./penpal-peer.mjs";

globalThis.window = globalThis; // the package's timeouts of calls ask for it
connect(toWorker(self));
