// What a hostile page has at hand, as globals: envelopes and offers of its own making, a handshake by
// hand, and a record of all that it is told.
const victim = globalThis.opener ?? top;
const about = { runtime: "evil", version: "0", capabilities: [], loaded: -1 };
const heard = []; // window messages, all of them
const given = []; // the ports that came with each
const waiting = new Set();

const changed = () => waiting.forEach((check) => check());
const until = (condition) =>
  new Promise((resolve) => {
    const check = () => {
      if (!condition()) return;
      waiting.delete(check);
      resolve();
    };
    waiting.add(check);
    check();
  });

const listen = (port) => {
  port.heard = [];
  port.onmessage = ({ data }) => {
    port.heard.push(data);
    changed();
  };
  return port;
};
addEventListener("message", ({ data, ports }) => {
  if (data?.body || data?.test) return; // the test's own words
  heard.push(data);
  given.push(ports.map(listen));
  changed();
});

let posted = 0;
const post = (data, transfer = []) => {
  victim.postMessage(data, { targetOrigin: "*", transfer });
  posted++;
};
const say = (type, fields, ports) =>
  post({ msgchan: 1, type, name: "", id: "evil", nonce: "guess", loaded: -1, ...fields }, ports);
const offer = (fields, count = 2) => {
  const channels = Array.from({ length: count }, () => new MessageChannel());
  say(
    "offer",
    fields,
    channels.map(({ port2 }) => port2),
  );
  return channels.map(({ port1 }) => listen(port1));
};

// Everything that could have an effect, if it were heard.
const attack = (fields) => {
  say("hello", fields);
  say("hello", { ...fields, msgchan: 2, id: "evil 2" });
  say("probe", fields);
  say("probe", { ...fields, msgchan: 2, id: "evil 2" });
  say("refusal", { ...fields, reason: "taken" });
  say("refusal", { ...fields, msgchan: 2, reason: "version" });
  return offer({ to: "guess", ...fields });
};

// The handshake by hand, rightly: gives the ends of the data and the control port.
const call = async (fields) => {
  const before = heard.length;
  say("probe", fields);
  await until(() => heard[before]);
  const ports = offer({ ...fields, to: heard[before].id });
  await until(() => ports[1].heard.length);
  ports[1].postMessage({ type: "confirm", ...about });
  return ports;
};
const take = async (fields) => {
  const before = given.length;
  say("hello", fields);
  await until(() => given.slice(before).some(({ length }) => length));
  const ports = given.slice(before).find(({ length }) => length);
  ports[1].postMessage({ type: "acceptance", nonce: fields?.nonce ?? "guess", ...about });
  await until(() => ports[1].heard.length);
  return ports;
};

const posts = () => posted;
Object.assign(globalThis, { about, attack, call, given, heard, listen, offer, post, posts, say });
Object.assign(globalThis, { take, until, victim });
