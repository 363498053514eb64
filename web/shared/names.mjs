// Who takes part: a name for messages and addresses, a label for people.
const LABELS = {
  "*": "Everyone",
  host: "Host",
  same: "Same origin",
  cross: "Cross site",
  sandbox: "Sandbox",
  second: "Second sandbox",
  script: "JavaScript",
  popup: "Popup",
  worker: "Worker",
};

/** "same" is called Same origin, and the next of its kind, "same-2", Same origin 2. */
export function label(name) {
  const [kind, number] = name.split("-");
  return [LABELS[kind] ?? kind, number].filter(Boolean).join(" ");
}
