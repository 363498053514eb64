// Remote calls of one name and of plain values: the objects that Comlink makes of them are built and
// taken apart here, so that only plain values cross into Python. All others go the general way.

import { lone } from "./decode.mjs";
import { promisingCall } from "./enter.mjs";

const LONG_ID = 1000; // as in _comlink.py

const plain = (v) => {
  const type = typeof v;
  return type === "number" || type === "string" || type === "boolean" || v == null;
};
const raw = (value) => ({ type: "RAW", value: lone(value) });

/** The part of the bridge that knows calls; `post` is its own, `asked` and `answered` are Python's. */
export function createCalls({ slots, post, asked, answered, step, pyodide }) {
  const askedNow = promisingCall(pyodide, asked),
    answeredNow = promisingCall(pyodide, answered);

  /** The last act of a handler, as in bridge.mjs; true. */
  function handOver(slot, promising, call, ...args) {
    if (slot.promising && promising) promising(slot.id, true, ...args).catch(reportError);
    else if (call(slot.id, !slot.promising, ...args) === STEP)
      step.callPromising(slot.id).catch(reportError);
    return true;
  }

  return {
    open(id) {
      slots.get(id).calls = true;
    },
    call(id, call, name, ...values) {
      post(id, { id: call, type: "APPLY", path: [name], argumentList: values.map(raw) });
    },
    answer(id, call, value) {
      post(id, { id: call, ...raw(value) });
    },
    /** Hands a message over if it is a plain one, and says whether it was. */
    take(slot, data) {
      if (data === null || typeof data !== "object") return false;
      const { id, type, path, argumentList, value } = data;
      if (typeof id !== "string" || id.length > LONG_ID) return false;
      if (type === "RAW")
        return plain(value) && handOver(slot, answeredNow, answered, id, value ?? undefined);
      if (type !== "APPLY" || path?.length !== 1 || typeof path[0] !== "string") return false;
      if (!Array.isArray(argumentList) || data.keywords) return false;
      const values = [];
      for (const wire of argumentList) {
        if (wire?.type !== "RAW" || !plain(wire.value)) return false;
        values.push(wire.value ?? undefined);
      }
      return handOver(slot, askedNow, asked, id, path[0], ...values);
    },
  };
}
