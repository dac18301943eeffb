/**
 * What a plain scalar means to PyYAML's safe loader (its resolver.py and constructor.py), which is what cloud-init reads with:
 * YAML 1.1 without `y` and `n` as booleans, `08` and `1e3` are strings, 0644 is octal, 1:30 is a number to the base 60.
 * Timestamps stay strings: cloud-init would get a date object that no key of it takes.
 */
export function resolvePlain(source: string): unknown {
  if (/^(?:~|null|Null|NULL|)$/.test(source)) return null;
  if (/^(?:yes|Yes|YES|true|True|TRUE|on|On|ON)$/.test(source)) return true;
  if (/^(?:no|No|NO|false|False|FALSE|off|Off|OFF)$/.test(source)) return false;
  if (INTEGER.test(source)) return integer(source);
  if (FLOAT.test(source)) return new Float(float(source));
  return source;
}

const INTEGER = /^[-+]?(?:0b[01_]+|0[0-7_]+|0|[1-9][0-9_]*|0x[0-9a-fA-F_]+|[1-9][0-9_]*(?::[0-5]?[0-9])+)$/;
const FLOAT =
  /^(?:[-+]?[0-9][0-9_]*\.[0-9_]*(?:[eE][-+][0-9]+)?|\.[0-9][0-9_]*(?:[eE][-+][0-9]+)?|[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+\.[0-9_]*|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$/;

/** A number with a fraction; kept apart from whole numbers because Python writes 1.0 and 1 differently. */
export class Float {
  readonly value: number;
  constructor(value: number) {
    this.value = value;
  }
  /** As Python's str() writes it. */
  toString(): string {
    if (Number.isNaN(this.value)) return 'nan';
    if (!Number.isFinite(this.value)) return this.value > 0 ? 'inf' : '-inf';
    const [digits = '', power = ''] = this.value.toExponential().split('e');
    const exponent = Number(power);
    if (exponent < -4 || exponent >= 16) return `${digits}e${power.charAt(0)}${power.slice(1).padStart(2, '0')}`;
    if (Object.is(this.value, -0)) return '-0.0';
    return Number.isInteger(this.value) ? this.value.toFixed(1) : String(this.value);
  }
}

function integer(source: string): number | bigint {
  const text = source.replaceAll('_', '');
  const sign = text.startsWith('-') ? -1n : 1n;
  const digits = text.replace(/^[-+]/, '');
  const value = sign * magnitude(digits);
  return Number.isSafeInteger(Number(value)) ? Number(value) : value;
}

function magnitude(digits: string): bigint {
  if (digits.includes(':')) return digits.split(':').reduce((sum, part) => sum * 60n + BigInt(part), 0n);
  if (/^0[bx]/.test(digits)) return BigInt(digits.length > 2 ? digits : 0);
  return /^0./.test(digits) ? BigInt(`0o${digits.slice(1)}`) : BigInt(digits);
}

function float(source: string): number {
  const text = source.replaceAll('_', '').toLowerCase();
  const sign = text.startsWith('-') ? -1 : 1;
  const digits = text.replace(/^[-+]/, '');
  if (digits === '.inf') return sign * Infinity;
  if (digits === '.nan') return NaN;
  return sign * digits.split(':').reduce((sum, part) => sum * 60 + Number(part), 0);
}
