// The scan of a packed stream before Python's unpickler reads it. _codec/packed/opcodes.py is the
// same scan in Python: it has the table of opcodes, and says what the scan guarantees and why. The
// scan takes much of the time of a message, so each entry of the stack and of the memo is one
// number.

// The actions of the opcodes, in the order of _codec/packed/opcodes.py.
export const ACTIONS =
  "constant short fixed2 fixed4 fixed8 text1 data1 data4 long1 long4 data8 " +
  "list dict set nothing mark append appends setitem setitems additems " +
  "frozenset tuple tuple1 tuple2 tuple3 memoize get1 get4 pop popMark global reduce frame stop";
const ACTION = Object.fromEntries(ACTIONS.split(" ").map((word, i) => [word, i + 1]));
const {
  constant: CONSTANT,
  short: SHORT1,
  fixed2: FIXED2,
  fixed4: FIXED4,
  fixed8: FIXED8,
} = ACTION;
const { text1: TEXT1, list: LIST, dict: DICT, mark: MARK, appends: APPENDS } = ACTION;
const { setitems: SETITEMS, memoize: MEMOIZE, get1: GET1, stop: STOP } = ACTION;
const WIDTHS = { [CONSTANT]: 0, [FIXED2]: 2, [FIXED4]: 4, [FIXED8]: 8 }; // bytes behind the opcode
// The kinds of values on the stack. Those from MAKE on can't be put into another value.
const [VALUE, TAG, IN_LIST, IN_DICT, IN_SET, MADE, ARGS, MODULE] = [0, 1, 2, 3, 4, 5, 6, 7];
const [MAKE, FILL, TARGET, FILLING, FILLED] = [10, 11, 12, 13, 14];

// The bits of a word, from the lowest: kind (4), depth (10), weight (9), tag + 1 (9).
const DEPTH = 4,
  WEIGHT = 14,
  TAGGED = 23;
const MAX_KEPT = 1 << 16; // Numbers. A larger array is released after the scan.
const MAX_WEIGHT = 511; // What 9 bits can hold.
const SCALAR = VALUE | (1 << WEIGHT);
const UNTAGGED = (1 << TAGGED) - 1;
// Behind where a tag would be: of a scalar, that its hash can be chosen; of a container, the weight of
// its keys of which that is so.
const CHOSEN = 1 << 31;
const MOST_COUNTED = 511;
const isScalar = (word) => (word & UNTAGGED & ~TAG) === SCALAR;
const kindIn = (word) => word & 15;
const depthIn = (word) => (word >> DEPTH) & 1023;
const weightIn = (word) => (word >> WEIGHT) & MAX_WEIGHT;
const tagIn = (word) => (word >>> TAGGED) - 1;

const isChosen = (word) => word < 0 && kindIn(word) === VALUE;
const remembered = (word, kind) =>
  kind === VALUE ? word : word & UNTAGGED & (kind >= MODULE ? -1 : ~15);

// What is written in place of an opcode so that Python counts hashes; see _codec/packed/opcodes.py.
const COUNTED = {
  setitem: [0x86, 0x86, 0x51],
  setitems: [0x74, 0x86, 0x51],
  additems: [0x74, 0x86, 0x51],
  frozenset: [0x74, 0x85, 0x51],
};

class Refused extends Error {}
const refuse = (why) => {
  throw new Refused(why);
};

const empty = () => new Int32Array(1 << 12);
const doubled = (array) => {
  const larger = new Int32Array(2 * array.length);
  larger.set(array);
  return larger;
};

/**
 * A function that returns the reason why a stream is refused, or "" if it may be decoded. Its
 * property `plain` is true if the last stream has no names, so that it calls no functions. Its method
 * `prepare` returns the segments in the form that is decoded.
 *
 * @typedef {{
 *   (segments: Uint8Array[]): string;
 *   plain: boolean;
 *   prepare: (segments: Uint8Array[]) => Uint8Array[];
 * }} Scan
 */

/** Returns a scan. */
export function createScan(table, names, limit, hashable, keyDepth, keyWeight, uncounted) {
  // The state of one scan, which completes before the next one starts.
  let stack = empty(), // Words.
    places = empty(), // The memo index of each value on the stack, or -1.
    height = 0;
  let memo = empty(), // Words.
    owners = empty(), // The stack index of each value in the memo while it can get items, or -1.
    known = 0;
  // The minimum depths of ranges of the memo, in linear time; see _Depths in
  // _codec/packed/opcodes.py.
  let leaves = empty(); // For each value in the memo: its node plus 1, or 0 if it has none.
  const parents = [],
    deepest = [],
    roots = []; // The start, end and node of each range that is in no other.
  const marks = [],
    looped = new Set(); // Memo indexes of values that a value above them on the stack refers to.
  let floor = 0; // The stack index of the last mark.
  const name = names.map((text) => Uint8Array.from(text, (letter) => letter.charCodeAt(0)));
  let parts, part, bytes, view, at;
  let counted = []; // part, place and replacement of each opcode that inserts keys to be counted

  function enter(i) {
    part = i;
    bytes = parts[i];
    view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    at = 0;
  }

  /** Skips bytes, which must be in one segment, and returns where they start. */
  function take(n) {
    if (at === bytes.length && part + 1 < parts.length) enter(part + 1);
    if (n > bytes.length - at) refuse("cut off");
    at += n;
    return at - n;
  }

  // `take` is a default argument so that it runs first: it can change `bytes` and `view`.
  const size1 = (i = take(1)) => bytes[i];
  const size4 = (i = take(4)) => view.getUint32(i, true);
  const size8 = (i = take(8)) => view.getUint32(i, true) + view.getUint32(i + 4, true) * 2 ** 32;

  function put(word, place) {
    if (height === stack.length) [stack, places] = [doubled(stack), doubled(places)];
    stack[height] = word;
    places[height++] = place;
  }

  function push(kind, depth, weight, tag = -1) {
    if (depth > limit) refuse(`nested deeper than ${limit} levels`);
    put(kind | (depth << DEPTH) | (weight << WEIGHT) | ((tag + 1) << TAGGED), -1);
  }

  function text(n) {
    const i = take(n);
    const m = name.findIndex((one) => n === one.length && one.every((c, j) => c === bytes[i + j]));
    put(m < 0 ? SCALAR : SCALAR | (MODULE + m), -1);
  }

  /** Returns the stack index of the last n values, which must be above the last mark. */
  function few(n) {
    if (height - n < floor) refuse("nothing to take");
    return height - n;
  }

  function marked() {
    if (!marks.length) refuse("no mark");
    const start = marks.pop();
    floor = marks.length ? marks[marks.length - 1] : 0;
    return start;
  }

  /**
   * Removes the values from `start` on, and returns their depth. No more items are added to them.
   */
  function taken(start, allow = -1) {
    let depth = 0;
    for (let i = height - 1; i >= start; i--) {
      const word = stack[i];
      if (isScalar(word)) continue;
      if (kindIn(word) >= MAKE && kindIn(word) !== allow) refuse("a function among values");
      if (depthIn(word) > depth) depth = depthIn(word);
      const m = places[i];
      if (m < 0 || owners[m] !== i) continue;
      owners[m] = -1;
      if (looped.delete(m)) deepenFrom(m, depthIn(word));
    }
    height = start;
    return depth;
  }

  /** Sets the minimum depth of all values in the memo from m on. */
  function deepenFrom(m, depth) {
    const node = parents.push(-1) - 1;
    deepest.push(depth);
    if (leaves.length < memo.length) {
      const larger = new Int32Array(memo.length);
      larger.set(leaves);
      leaves = larger;
    }
    let before = known;
    while (roots.length && roots[roots.length - 1][0] >= m) {
      const [start, end, root] = roots.pop();
      parents[root] = node;
      leaves.fill(node + 1, end, before);
      before = start;
    }
    leaves.fill(node + 1, m, before);
    roots.push([m, known, node]);
  }

  /** Returns the minimum depth of a node's range, and shortens the path to its root. */
  function depthOf(node) {
    let root = node;
    while (parents[root] >= 0) root = parents[root];
    const path = [];
    for (let n = node; n !== root; n = parents[n]) path.push(n);
    let depth = deepest[root];
    while (path.length) {
      const n = path.pop();
      deepest[n] = depth = Math.max(depth, deepest[n]);
      parents[n] = root;
    }
    return depth;
  }

  const deeper = (word, depth) =>
    depth > depthIn(word) ? (word & ~(1023 << DEPTH)) | (depth << DEPTH) : word;

  function deepen(i, depth) {
    if (depth > limit) refuse(`nested deeper than ${limit} levels`);
    stack[i] = deeper(stack[i], depth);
    const m = places[i];
    if (m >= 0) memo[m] = deeper(memo[m], depth);
  }

  /** Sees that these can be keys; gives the weight of those whose hashes can be chosen. */
  function keys(start, step) {
    let chosen = 0;
    for (let i = start; i < height; i += step) {
      const word = stack[i];
      if (isScalar(word)) {
        if (isChosen(word)) chosen++;
        continue;
      }
      const weight = weightIn(word);
      if (weight < 1 || weight > keyWeight || depthIn(word) > keyDepth)
        refuse("a key that can't be one");
      chosen += weight;
    }
    return chosen;
  }

  function count(how) {
    scan.plain = false;
    counted.push([part, at - 1, COUNTED[how]]);
  }

  function fill(kind, start, how) {
    if (start <= floor) refuse("nothing to take");
    if (kind === IN_DICT && (height - start) % 2) refuse("a key without a value");
    if (kindIn(stack[start - 1]) !== kind) refuse("items for what holds none");
    if (kind !== IN_LIST) {
      const owner = stack[start - 1],
        chosen = keys(start, kind === IN_DICT ? 2 : 1),
        all = chosen + (owner >>> TAGGED);
      stack[start - 1] = (owner & UNTAGGED) | (Math.min(all, MOST_COUNTED) << TAGGED);
      if (chosen && all > uncounted) count(how);
    }
    deepen(start - 1, taken(start) + 1);
  }

  function tuple(start) {
    let weight = 1;
    for (let i = start; i < height; i++) {
      const own = weightIn(stack[i]);
      weight = own && weight ? Math.min(weight + own, MAX_WEIGHT) : 0;
    }
    const tag = height > start && kindIn(stack[start]) === TAG ? tagIn(stack[start]) : -1;
    push(ARGS, taken(start) + 1, Math.min(weight, keyWeight + 1), tag);
  }

  function drop(start) {
    const filled = height === start + 1 && kindIn(stack[start]) === FILLED;
    const depth = taken(start, filled ? FILLED : -1) + (filled ? 0 : 1);
    if (height) deepen(height - 1, depth);
  }

  function memoize() {
    const i = few(1),
      word = stack[i],
      kind = kindIn(word);
    if (places[i] >= 0 || kind > FILL) refuse("nothing to remember");
    if (known === memo.length) [memo, owners] = [doubled(memo), doubled(owners)];
    places[i] = known;
    memo[known] = remembered(word, kind);
    owners[known++] = kind > TAG && kind <= MADE ? i : -1;
  }

  function recall(m) {
    if (m >= known) refuse("a reference to nothing");
    let word = memo[m];
    // The depth of a scalar is 0 and can't change.
    if (parents.length && leaves[m] && depthIn(word)) word = deeper(word, depthOf(leaves[m] - 1));
    if (height && kindIn(stack[height - 1]) === FILL) {
      few(2);
      if (owners[m] !== height - 2 || kindIn(stack[height - 2]) !== MADE)
        refuse("not what is to be filled");
      word = (word & ~15) | TARGET;
    } else if (owners[m] >= 0) looped.add(m);
    put(word, m);
  }

  function named() {
    const i = few(2),
      kind = kindIn(stack[i + 1]);
    if (kindIn(stack[i]) !== MODULE || (kind !== MODULE + 1 && kind !== MODULE + 2))
      refuse("a name that is not allowed");
    taken(i);
    scan.plain = false;
    push(kind === MODULE + 1 ? MAKE : FILL, 0, 0);
  }

  function call() {
    const i = few(2),
      f = kindIn(stack[i]),
      word = stack[i + 1];
    if (!(f === MAKE && kindIn(word) === ARGS) && !(f === FILL && kindIn(word) === FILLING))
      refuse("a call that is not allowed");
    height = i; // `taken` is not needed: no items can be added to either value.
    if (f === FILL) return push(FILLED, depthIn(word), 0);
    const hashed = tagIn(word) >= 0 && tagIn(word) < hashable;
    push(MADE, depthIn(word) - 1, hashed ? weightIn(word) : 0);
  }

  const passed = (size, weight) => () => {
    take(size());
    push(VALUE, 0, weight);
  };
  const chosen = (size) => () => {
    take(size());
    put(SCALAR | CHOSEN, -1);
  };
  const fixed = (action) => passed(() => WIDTHS[action], 1);
  const steps = {
    constant: fixed(CONSTANT),
    short: () => push(TAG, 0, 1, size1()),
    fixed2: fixed(FIXED2),
    fixed4: fixed(FIXED4),
    fixed8: chosen(() => WIDTHS[FIXED8]),
    text1: () => text(size1()),
    data1: passed(size1, 1),
    data4: passed(size4, 1),
    long1: chosen(size1),
    long4: passed(size4, 0),
    data8: passed(size8, 0),
    list: () => push(IN_LIST, 1, 0),
    dict: () => push(IN_DICT, 1, 0),
    set: () => push(IN_SET, 1, 0),
    nothing: () => push(ARGS, 1, 1),
    mark() {
      floor = height;
      marks.push(height);
    },
    append: () => fill(IN_LIST, few(1)),
    appends: () => fill(IN_LIST, marked()),
    setitem: () => fill(IN_DICT, few(2), "setitem"),
    setitems: () => fill(IN_DICT, marked(), "setitems"),
    additems: () => fill(IN_SET, marked(), "additems"),
    frozenset() {
      const start = marked();
      if (keys(start, 1) > uncounted) count("frozenset");
      push(VALUE, taken(start) + 1, 0);
    },
    tuple: () => tuple(marked()),
    tuple1: () => tuple(few(1)),
    tuple2() {
      const i = few(2);
      if (kindIn(stack[i]) !== TARGET) return tuple(i);
      const depth = taken(i + 1);
      height = i;
      push(FILLING, depth, 0);
    },
    tuple3: () => tuple(few(3)),
    memoize,
    get1: () => recall(size1()),
    get4: () => recall(size4()),
    pop: () => drop(few(1)),
    popMark: () => drop(marked()),
    global: named,
    reduce: call,
    frame() {
      if (size8() > bytes.length - at) refuse("cut off");
    },
  };
  const actions = [undefined, ...ACTIONS.split(" ").map((word) => steps[word])];
  const lengths = name.map((bytes) => bytes.length);

  /**
   * Scans while the opcodes are the most frequent ones. It does the same as `steps`, in a third of
   * the time, because it makes no calls and uses local variables only.
   */
  function scanFastPath() {
    if (height && kindIn(stack[height - 1]) === FILL) return; // another step recalls then
    const [here, words, own, kept, owning] = [bytes, stack, places, memo, owners];
    const deepened = parents.length > 0;
    const last = here.length - 257; // The longest of these opcodes has 257 bytes.
    let i = at,
      top = height,
      count = known,
      low = floor;
    steps: while (i < last && top < words.length && count < kept.length) {
      const action = table[here[i]],
        n = here[i + 1];
      let word = SCALAR,
        place = -1;
      switch (action) {
        case GET1:
          if (n >= count || owning[n] >= 0 || (deepened && leaves[n])) break steps;
          word = kept[n];
          place = n;
          i += 2;
          break;
        case MEMOIZE: {
          const kind = kindIn(words[top - 1]);
          if (top <= low || own[top - 1] >= 0 || kind > IN_SET) break steps;
          own[top - 1] = count;
          kept[count] = remembered(words[top - 1], kind);
          owning[count++] = kind > TAG ? top - 1 : -1;
          i++;
          continue;
        }
        case TEXT1:
          if (lengths.includes(n)) break steps;
          i += 2 + n;
          break;
        case SHORT1:
          word = TAG | SCALAR | ((n + 1) << TAGGED);
          i += 2;
          break;
        case CONSTANT:
        case FIXED2:
        case FIXED4:
          i += 1 + WIDTHS[action];
          break;
        case FIXED8:
          word = SCALAR | CHOSEN;
          i += 9;
          break;
        case DICT:
        case LIST:
          word = (action === DICT ? IN_DICT : IN_LIST) | (1 << DEPTH);
          i++;
          break;
        case MARK:
          marks.push(top);
          low = top;
          i++;
          continue;
        case SETITEMS:
        case APPENDS: {
          const before = marks.length > 1 ? marks[marks.length - 2] : 0,
            pairs = action === SETITEMS;
          if (!marks.length || low <= before || (pairs && (top - low) % 2)) break steps;
          if (kindIn(words[low - 1]) !== (pairs ? IN_DICT : IN_LIST)) break steps;
          for (let j = low; j < top; j++) {
            if (!isScalar(words[j])) break steps;
            if (pairs && words[j] < 0 && (j - low) % 2 === 0 && isChosen(words[j])) break steps;
          }
          top = low;
          marks.pop();
          low = before;
          i++;
          continue;
        }
        default:
          break steps;
      }
      words[top] = word;
      own[top++] = place;
    }
    [at, height, known, floor] = [i, top, count, low];
  }

  function run() {
    if (!parts.length) refuse("cut off");
    enter(0);
    const i = take(2);
    if (bytes[i] !== 0x80 || bytes[i + 1] !== 5) refuse("no stream of this format");
    for (;;) {
      scanFastPath();
      const byte = size1(),
        action = table[byte];
      if (action === STOP) break;
      if (!action) refuse(`the opcode 0x${byte.toString(16).padStart(2, "0")} is not allowed`);
      actions[action]();
    }
    if (height !== 1 || marks.length || kindIn(stack[0]) >= MAKE) refuse("not one value");
    if (at !== bytes.length || part !== parts.length - 1) refuse("more than one value");
  }

  /** @type {Scan} */
  const scan = (segments) => {
    parts = segments;
    scan.plain = true;
    counted = [];
    try {
      run();
      return "";
    } catch (error) {
      if (error instanceof Refused) return error.message;
      throw error;
    } finally {
      height = marks.length = known = floor = 0;
      looped.clear();
      if (parents.length) leaves = empty();
      parents.length = deepest.length = roots.length = 0;
      if (stack.length > MAX_KEPT) [stack, places] = [empty(), empty()];
      if (memo.length > MAX_KEPT) [memo, owners] = [empty(), empty()];
      parts = bytes = view = undefined;
    }
  };
  scan.plain = true;

  scan.prepare = (segments) => {
    let next = 0;
    return segments.map((segment, number) => {
      const first = next;
      while (next < counted.length && counted[next][0] === number) next++;
      const replaced = counted.slice(first, next);
      if (!replaced.length) return segment;
      const prepared = new Uint8Array(segment.length + 2 * replaced.length);
      let start = 0,
        end = 0;
      for (const [, place, call] of replaced) {
        prepared.set(segment.subarray(start, place), end);
        end += place - start;
        prepared.set(call, end);
        end += call.length;
        start = place + 1;
      }
      prepared.set(segment.subarray(start), end);
      return prepared;
    });
  };
  return scan;
}
