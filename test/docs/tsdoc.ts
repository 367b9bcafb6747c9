/** What the comments of an exported name say, as Markdown. */

import ts from 'typescript';

/** How a name is written that may be documented on the same page. */
export type Linker = (name: string) => string;

/** The text of a comment, with its links; '' where there is none. */
export function textOf(parts: ts.SymbolDisplayPart[] | undefined, link: Linker): string {
  const text = ts.displayPartsToString(parts);
  return text.replace(/\{@link ([\w.]+) ?\}/g, (_, name: string) => link(name)).trim();
}

/** The description of a name. */
export function descriptionOf(symbol: ts.Symbol, checker: ts.TypeChecker, link: Linker): string {
  return textOf(symbol.getDocumentationComment(checker), link);
}

/** What is thrown and when, a sentence for each. */
export function throwsOf(symbol: ts.Symbol, checker: ts.TypeChecker, link: Linker): string[] {
  const tags = symbol.getJsDocTags(checker).filter(({ name }) => name === 'throws');
  const texts = tags.map(({ text }) =>
    textOf(text, link).replace(/^\{?(\w+)\}?(?: or (\w+))?/, (_, one: string, other?: string) =>
      [one, other]
        .filter((name) => name !== undefined)
        .map((name) => link(name))
        .join(' or '),
    ),
  );
  // Each of the signatures of a function brings the tags of its comment.
  return [...new Set(texts)].map((text) => `Throws ${text}.`);
}

/** What is said of the parameters of a function or constructor, by their names. */
export function parametersOf(
  symbol: ts.Symbol,
  checker: ts.TypeChecker,
  link: Linker,
): Map<string, string> {
  const tags = symbol.getJsDocTags(checker).filter(({ name }) => name === 'param');
  return new Map(
    tags.map(({ text }) => {
      const [name = '', ...rest] = textOf(text, link).split(' ');
      return [name, rest.join(' ')];
    }),
  );
}

/** A cell of a table: one line, in which `|` does not end the cell. */
export function cell(text: string): string {
  return text.replace(/\s*\n\s*/g, ' ').replace(/\|/g, '\\|');
}
