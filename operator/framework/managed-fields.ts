/** The API server says in every object who set which of its fields: more than half of a list, and nobody here reads it. */

/** Only a key can be written like this: in a string the quotes would have backslashes. */
const KEY = '"managedFields":[';

const [QUOTE, BACKSLASH, COMMA, OPENING, CLOSING] = Array.from('"\\,[]', (character) => character.charCodeAt(0));

/** The JSON text without them, or with an empty list of them. To leave them out takes a small part of the time and memory of parsing them. */
export function withoutManagedFields(json: string): string {
  const rest: string[] = [];
  let from = 0;
  for (let at = json.indexOf(KEY); at >= 0; at = json.indexOf(KEY, from)) {
    const end = endOfArray(json, at + KEY.length);
    const followed = json.charCodeAt(end) === COMMA;
    rest.push(json.slice(from, at), followed ? '' : `${KEY}]`);
    from = followed ? end + 1 : end;
  }
  return from === 0 ? json : rest.join('') + json.slice(from);
}

/** The index after the bracket that closes an array, whose opening one is before `start`. */
function endOfArray(json: string, start: number): number {
  let at = start;
  for (let depth = 1; depth > 0 && at < json.length; at++) {
    const character = json.charCodeAt(at);
    if (character === OPENING) depth++;
    else if (character === CLOSING) depth--;
    else if (character === QUOTE) at = endOfString(json, at);
  }
  return at;
}

/** The index of the quote that closes the string that begins at `start`. */
function endOfString(json: string, start: number): number {
  let at = start + 1;
  for (let character = json.charCodeAt(at); character !== QUOTE && at < json.length; character = json.charCodeAt(++at))
    if (character === BACKSLASH) at++;
  return at;
}
