/**
 * MIME multi-part documents (RFC 2045, 2046), split as Python's email package splits them for cloud-init. Our own: the parsers on npm are
 * made for mail, and drop headers of parts such as Merge-Type (postal-mime) or bring the character sets of the world (mailsplit, mailparser).
 */
import { MIMEType } from 'node:util';
import { BootstrapDataError } from '../plan.ts';

/** A part that holds no others. */
export interface Leaf {
  /** `text/cloud-config`, in lower case. */
  type: string;
  charset: string;
  filename: string | undefined;
  /** By name in lower case. */
  headers: Map<string, string>;
  /** With its transfer encoding undone. */
  content: Uint8Array;
}

const MAX_DEPTH = 8;
const MAX_PARTS = 1000;

interface Entity {
  headers: Map<string, string>;
  body: string;
}

/** Whether the text begins with the headers of a MIME document. */
export function isMIME(text: string): boolean {
  const { headers } = split(text);
  return headers.has('mime-version') || headers.has('content-type');
}

/**
 * The parts of a document, those of multi-part ones within it among them, in their order.
 * @throws BootstrapDataError BootstrapDataInvalid
 */
export function leavesOf(text: string): Leaf[] {
  const leaves = walk(split(text), 0);
  if (leaves.length > MAX_PARTS) throw invalid(`it has more than ${MAX_PARTS} parts`);
  return leaves;
}

function walk({ headers, body }: Entity, depth: number): Leaf[] {
  const type = parameters(headers.get('content-type') ?? 'text/plain', 'Content-Type');
  if (type.type !== 'multipart') return [leaf({ headers, body }, type)];
  const boundary = type.params.get('boundary') ?? '';
  if (boundary === '') throw invalid('a Content-Type of multipart names no boundary');
  if (depth >= MAX_DEPTH) throw invalid(`parts are nested more than ${MAX_DEPTH} deep`);
  return bodies(body, boundary).flatMap((part) => walk(split(part), depth + 1));
}

function leaf({ headers, body }: Entity, type: MIMEType): Leaf {
  const disposition = headers.get('content-disposition');
  return {
    type: type.essence.toLowerCase(),
    charset: type.params.get('charset') ?? 'utf-8',
    filename: (disposition && filename(parameters(`x/${disposition}`, 'Content-Disposition'), 'filename')) ?? filename(type, 'name'),
    headers,
    content: decode(body, (headers.get('content-transfer-encoding') ?? '').trim().toLowerCase()),
  };
}

/** Headers go to the first empty line, or to one that is no header; lines that begin with white space go on with the one before. */
function split(text: string): Entity {
  const headers = new Map<string, string>();
  const start = /^(?:From .*\r?\n)?/.exec(text)?.[0].length ?? 0;
  const header = /([!-9;-~]+):([^\r\n]*(?:\r?\n[ \t][^\r\n]*)*)(?:\r?\n|$)/y;
  header.lastIndex = start;
  let end = start;
  for (let found = header.exec(text); found !== null; found = header.exec(text)) {
    const [, name = '', value = ''] = found;
    const key = name.toLowerCase();
    if (!headers.has(key)) headers.set(key, value.replaceAll(/\r?\n[ \t]/g, ' ').trim());
    end = header.lastIndex;
  }
  return { headers, body: text.slice(end).replace(/^\r?\n/, '') };
}

/** What stands between the lines of a boundary. The line break before one belongs to it (RFC 2046, 5.1.1). */
function bodies(text: string, boundary: string): string[] {
  const parts: string[] = [];
  let begin: number | undefined;
  for (const { index, 0: line } of text.matchAll(/^--[^\r\n]*/gm)) {
    const mark = line.trimEnd();
    if (mark !== `--${boundary}` && mark !== `--${boundary}--`) continue;
    if (begin !== undefined) parts.push(text.slice(begin, index).replace(/\r?\n$/, ''));
    if (mark.endsWith(`${boundary}--`) && mark !== `--${boundary}`) return parts;
    begin = index + line.length + (/^\r?\n/.exec(text.slice(index + line.length, index + line.length + 2))?.[0].length ?? 0);
  }
  throw invalid('it is cut off: the line that ends its last part is missing');
}

function parameters(value: string, header: string): MIMEType {
  try {
    return new MIMEType(value);
  } catch (cause) {
    throw invalid(`a header ${header} cannot be read`, cause);
  }
}

function filename({ params }: MIMEType, name: string): string | undefined {
  // RFC 2231: filename*=utf-8'en'with%20space
  const extended = /^[^']*'[^']*'(.*)$/.exec(params.get(`${name}*`) ?? '')?.[1];
  try {
    return extended === undefined ? (params.get(name) ?? undefined) : decodeURIComponent(extended);
  } catch {
    return extended;
  }
}

function decode(body: string, encoding: string): Uint8Array {
  switch (encoding) {
    case '':
    case '7bit':
    case '8bit':
    case 'binary':
      return Buffer.from(body, 'utf8');
    case 'base64':
      return Buffer.from(body, 'base64');
    case 'quoted-printable':
      return quotedPrintable(body);
    default:
      throw invalid('a part has a Content-Transfer-Encoding other than base64, quoted-printable, 8bit and 7bit');
  }
}

/** RFC 2045, 6.7 */
function quotedPrintable(body: string): Uint8Array {
  const joined = body.replaceAll(/[ \t]+(?=\r?\n|$)/g, '').replaceAll(/=\r?\n/g, '');
  const bytes = joined
    .split(/(=[0-9A-Fa-f]{2})/)
    .map((piece, index) => (index % 2 === 1 ? Buffer.from(piece.slice(1), 'hex') : Buffer.from(piece, 'utf8')));
  return Buffer.concat(bytes);
}

const invalid = (what: string, cause?: unknown) =>
  new BootstrapDataError('BootstrapDataInvalid', `the multi-part document is not valid: ${what}`, [], cause);
