// Numbers in words: counts, times, and amounts of any unit.
const MILLISECONDS = { µs: 0.001, ms: 1, s: 1000 };
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });

/** A number with three digits that count, and a comma at thousands. */
export function amount(number) {
  if (Math.abs(number) >= 100 || Number.isInteger(number)) {
    return Math.round(number).toLocaleString("en");
  }
  return Number(number.toPrecision(3)).toString();
}

/** What stands at an axis: 10, 1K, 100M. */
export function short(number) {
  return compact.format(number);
}

/** Milliseconds, in the unit in which they are read best. */
export function duration(milliseconds) {
  const unit = milliseconds < 1 ? "µs" : milliseconds < 1000 ? "ms" : "s";
  return `${amount(milliseconds / MILLISECONDS[unit])} ${unit}`;
}
