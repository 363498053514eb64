// Which browser this is, from what it calls itself.

// The first that fits; all of them call themselves by the names of those below too.
/** @type {[string, RegExp][]} */
const NAMES = [
  ["Edge", /Edg(?:A|iOS)?\/([\d.]+)/],
  ["Opera", /OPR\/([\d.]+)/],
  ["Firefox", /(?:Firefox|FxiOS)\/([\d.]+)/],
  ["Chrome", /(?:Chrome|CriOS)\/([\d.]+)/],
  ["Safari", /Version\/([\d.]+).*Safari/],
];

/** Its name and version, for the report. */
export function browser() {
  const { userAgent } = navigator;
  for (const [name, pattern] of NAMES) {
    const found = pattern.exec(userAgent);
    if (!found) continue;
    const phone = /Android/.test(userAgent) ? " on Android" : "";
    // WebKit without Apple's system is no Safari, though it says so.
    const engine = name === "Safari" && !/Mac OS X/.test(userAgent) ? "WebKitGTK" : name;
    return { browser: engine + phone, version: found[1] };
  }
  return { browser: "Unknown", version: userAgent };
}
