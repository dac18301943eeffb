/** Links of a page that is passed on without the pages beside it. */
import { posix } from 'node:path';

/** Of a Markdown link or image: the target, where that is neither an address nor a place in the page itself. */
const RELATIVE = /(?<=\]\()(?![a-z][a-z0-9+.-]*:|#|\/)[^()\s]+(?=\))/g;

/** The page with links into the repository at `base` instead of relative ones. @param page is where it stands in the repository. */
export function withAbsoluteLinks(text: string, page: string, base: string): string {
  return text.replaceAll(RELATIVE, (target) => `${base}/${posix.join(posix.dirname(page), target)}`);
}
