// The second origin of this site, which the address names: ?other=http://localhost:8001

/** The folder of this page on the other origin, if the address names one that differs. */
export function otherBase() {
  const given = new URLSearchParams(location.search).get("other");
  if (!given || !/^https?:/.test(given) || !URL.canParse(given)) return null;
  const { origin, pathname } = new URL(given);
  if (origin === location.origin) return null;
  return new URL(pathname === "/" ? new URL(".", location.href).pathname : pathname, origin);
}
