// Who takes part: a name for messages and addresses, a label for people.
const LABELS = {
  "*": "Everyone",
  host: "Host",
  same: "Same origin",
  cross: "Cross site",
  sandbox: "Sandbox",
  second: "Second sandbox",
  script: "JavaScript",
};

export const label = (name) => LABELS[name] ?? name;
