/** Text for HTML, where it may stand between tags and in attributes. */
export function escapeHtml(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}

/** JSON for a script element, which nothing in it can end. */
export function scriptJson(value: unknown): string {
  return JSON.stringify(value).replaceAll('<', '\\u003c');
}

/** A table; its first line is its header. */
export function htmlTable([header = [], ...lines]: readonly string[][]): string {
  const cells = (tag: string, line: string[]): string =>
    line.map((cell) => `<${tag}>${escapeHtml(cell)}</${tag}>`).join('');
  const body = lines.map((line) => `<tr>${cells('td', line)}</tr>`).join('\n');
  return (
    `<div class="scroll"><table>\n<thead><tr>${cells('th', header)}</tr></thead>\n` +
    `<tbody>\n${body}\n</tbody></table></div>`
  );
}
