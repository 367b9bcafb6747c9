/** The links of Markdown pages, and where they lead. */

import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

// A line in a block of code may look like a heading, and anything like a link.
function withoutBlocks(page: string): string {
  return page.replace(/^( *)(`{3,})[^\n]*\n[\s\S]*?^\1\2$/gm, '');
}

/** The anchors that GitHub makes of the headings of a page. */
export function anchorsOf(page: string): Set<string> {
  const anchors = new Set<string>();
  for (const [, heading = ''] of withoutBlocks(page).matchAll(/^#{1,6} +(.+)$/gm)) {
    const text = heading.replace(/\[([^\]]*)\]\([^)]*\)/g, '$1').toLowerCase();
    const slug = text.replace(/[^\p{L}\p{N}\p{M}_ -]/gu, '').replace(/ /g, '-');
    let anchor = slug;
    for (let count = 1; anchors.has(anchor); count++) anchor = `${slug}-${count}`;
    anchors.add(anchor);
  }
  return anchors;
}

/** The targets of the links of a page, without those into the network. */
export function targetsOf(page: string): string[] {
  const text = withoutBlocks(page).replace(/`[^`\n]*`/g, '');
  const links = [...text.matchAll(/\]\(<?([^)\s>]+)>?\)/g)].map(([, target = '']) => target);
  return links.filter((target) => !/^[a-z]+:/.test(target));
}

/** What of these pages leads nowhere, in words. */
export function brokenLinks(root: string, pages: readonly string[]): string[] {
  return pages.flatMap((name) => {
    const page = readFileSync(join(root, name), 'utf8');
    return targetsOf(page).flatMap((target) => {
      const [path = '', anchor] = target.split('#');
      const file = path === '' ? name : join(dirname(name), path);
      if (!existsSync(join(root, file))) return [`${name}: there is no ${target}`];
      if (anchor === undefined || !file.endsWith('.md')) return [];
      const anchors = anchorsOf(readFileSync(join(root, file), 'utf8'));
      return anchors.has(anchor) ? [] : [`${name}: there is no heading for ${target}`];
    });
  });
}
