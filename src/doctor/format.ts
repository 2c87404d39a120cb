/** Formats with two units at most: `850 ms`, `42 s`, `4 min 10 s`, `3 h 5 min`, `2 d 4 h`. */
export function showDuration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  const seconds = Math.floor(ms / 1000);
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return twoUnits(seconds, 60, 'min', 1, 's');
  if (seconds < 86_400) return twoUnits(seconds, 3600, 'h', 60, 'min');
  return twoUnits(seconds, 86_400, 'd', 3600, 'h');
}

function twoUnits(amount: number, big: number, bigName: string, small: number, smallName: string) {
  const rest = Math.floor((amount % big) / small);
  const whole = `${Math.floor(amount / big)} ${bigName}`;
  return rest === 0 ? whole : `${whole} ${rest} ${smallName}`;
}

const BYTE_UNITS = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];

/** Formats as `512 B`, `3.4 MB` or `120 GB`, in powers of 1000. */
export function showBytes(bytes: number): string {
  let amount = bytes;
  let unit = 0;
  while (amount >= 999.5 && unit < BYTE_UNITS.length - 1) {
    amount /= 1000;
    unit++;
  }
  const text = unit === 0 || amount >= 99.95 ? Math.round(amount) : amount.toFixed(1);
  return `${text} ${BYTE_UNITS[unit]}`;
}

export function showUsd(usd: number): string {
  return `$${usd.toFixed(usd !== 0 && usd < 0.1 ? 4 : 2)}`;
}

/** Formats as `1 process` or `3 processes`. */
export function count(amount: number, one: string, many = `${one}s`): string {
  return `${amount.toLocaleString('en')} ${amount === 1 ? one : many}`;
}
