// Remote calls of one name and of plain values: the objects that Comlink makes of them are built and
// taken apart here, so that only plain values cross into Python. All others go the general way.

const LONG_ID = 1000; // as in _comlink.py

const plain = (v) => {
  const type = typeof v;
  return type === "number" || type === "string" || type === "boolean" || v == null;
};
const raw = (value) => ({ type: "RAW", value });

/** The part of the bridge that knows calls; `post` is its own, `asked` and `answered` are Python's. */
export function createCalls({ slots, post, asked, answered }) {
  return {
    open(id) {
      slots.get(id).calls = true;
    },
    call(id, call, name, ...values) {
      post(id, { id: call, type: "APPLY", path: [name], argumentList: values.map(raw) });
    },
    answer(id, call, value) {
      post(id, { id: call, type: "RAW", value });
    },
    /** Hands a message over if it is a plain one; tells what that left to do, or undefined. */
    take(slot, data) {
      if (data === null || typeof data !== "object") return undefined;
      const { id, type, path, argumentList, value } = data;
      if (typeof id !== "string" || id.length > LONG_ID) return undefined;
      const now = !slot.promising;
      if (type === "RAW")
        return plain(value) ? answered(slot.id, now, id, value ?? undefined) : undefined;
      if (type !== "APPLY" || path?.length !== 1 || typeof path[0] !== "string") return undefined;
      if (!Array.isArray(argumentList) || data.keywords) return undefined;
      const values = [];
      for (const wire of argumentList) {
        if (wire?.type !== "RAW" || !plain(wire.value)) return undefined;
        values.push(wire.value ?? undefined);
      }
      return asked(slot.id, now, id, path[0], ...values);
    },
  };
}
