/**
 * The page docs/api.md, made of the comments in lib/: what the package exports beside all of
 * node:net, each with its type and what is said of it.
 */

import { join } from 'node:path';
import { format, resolveConfig } from 'prettier';
import ts from 'typescript';
import { projectRoot } from '../lab/project-root';
import { membersOf, signatureOf, type Member } from './declarations';
import { cell, descriptionOf, parametersOf, throwsOf, type Linker } from './tsdoc';

interface Section {
  readonly title: string;
  readonly text: string;
  readonly names: readonly string[];
}

/** Every exported name has to be in one of them. */
const sections: readonly Section[] = [
  {
    title: 'In the place of net',
    text:
      'Everything else of `node:net` is exported as it is. With the preload, `net` itself has all ' +
      'of this, and these need not be used.',
    names: ['Socket', 'Server', 'Stream', 'connect', 'createConnection', 'createServer'],
  },
  {
    title: 'Functions and lists',
    text: 'These work with and without the preload.',
    names: ['info', 'stats', 'configure', 'alloc', 'reasons'],
  },
  {
    title: 'What can be set',
    text: 'See [configuration](configuration.md), too.',
    names: [
      'Settings',
      'Mode',
      'TransportName',
      'FabricTransportName',
      'RulesInput',
      'RuleObject',
      'RuleDirection',
    ],
  },
  {
    title: 'What is told',
    text: 'What `info()` and `stats()` return. The objects are snapshots.',
    names: [
      'SocketInfo',
      'ServerInfo',
      'ConnectionInfo',
      'Counters',
      'Reason',
      'ReasonEntry',
      'ReasonCode',
      'RuleInfo',
      'Stats',
      'TransportStats',
      'Handshake',
    ],
  },
  {
    title: 'Errors',
    text:
      'Sockets and servers have errors as `net` makes them: `code`, `errno`, `syscall`, `address` and ' +
      '`port`. What RDMA said is their `cause`, one of the first two of these. Programs do not make them.',
    names: ['RdmaError', 'RdmaUnavailableError', 'ConfigurationError'],
  },
  {
    title: 'Channels',
    text:
      'Messages of `node:diagnostics_channel`. They are published synchronously, and cost a look at a ' +
      'property while nobody subscribes.',
    names: [
      'AttemptMessage',
      'AttemptStep',
      'ConnectMessage',
      'ListenMessage',
      'AcceptMessage',
      'FallbackMessage',
      'FailureMessage',
    ],
  },
];

const INTRODUCTION = `# API

<!-- Written by \`npm run docs:api\` from the comments in lib/. -->

The package \`rdma-net\` can be imported and required. \`rdma-net/preload\` exports nothing: loading it
makes all sockets and servers of the process use RDMA and shared memory.
`;

function slug(title: string): string {
  return title.toLowerCase().replace(/ /g, '-');
}

/** Writes the page from a program that has been parsed. */
class ApiPage {
  readonly #checker: ts.TypeChecker;
  readonly #exports: ReadonlyMap<string, ts.Symbol>;
  readonly #augmented: readonly Member[];
  readonly #link: Linker;
  /** What keeps the page from being whole. */
  readonly #problems: string[] = [];

  constructor(program: ts.Program, root: string) {
    this.#checker = program.getTypeChecker();
    this.#exports = this.#exportsOf(sourceOf(program, join(root, 'lib/net.ts')), join(root, 'lib'));
    this.#link = (name) =>
      this.#exports.has(name) ? `[\`${name}\`](#${slug(name)})` : `\`${name}\``;
    this.#augmented = membersOf(
      augmentedInterface(sourceOf(program, join(root, 'lib/types.ts'))),
      this.#checker,
      this.#link,
    );
  }

  write(): string {
    this.#checkSections();
    const contents = sections.map(({ title, names }) => {
      return `- [${title}](#${slug(title)}): ${names.map(this.#link).join(', ')}`;
    });
    const parts = sections.flatMap(({ title, text, names }) => [
      `## ${title}`,
      text,
      ...names.flatMap((name) => this.#entry(name)),
    ]);
    if (this.#problems.length > 0) throw new Error(this.#problems.join('; '));
    return [INTRODUCTION, contents.join('\n'), ...parts].join('\n\n');
  }

  // What comes from node:net is documented there.
  #exportsOf(file: ts.SourceFile, folder: string): ReadonlyMap<string, ts.Symbol> {
    const module = this.#checker.getSymbolAtLocation(file);
    if (module === undefined) throw new Error(`${file.fileName} exports nothing`);
    const all = this.#checker.getExportsOfModule(module).map((symbol) => {
      const isAlias = (symbol.flags & ts.SymbolFlags.Alias) !== 0;
      return [symbol.name, isAlias ? this.#checker.getAliasedSymbol(symbol) : symbol] as const;
    });
    return new Map(
      all.filter(([, { declarations }]) =>
        declarations?.some((one) => one.getSourceFile().fileName.startsWith(folder)),
      ),
    );
  }

  #checkSections(): void {
    const placed = new Set(sections.flatMap(({ names }) => names));
    const lost = [...this.#exports.keys()].filter((name) => !placed.has(name));
    this.#problems.push(...lost.map((name) => `${name} is in no section of the page`));
  }

  #entry(name: string): string[] {
    const symbol = this.#exports.get(name);
    if (symbol === undefined) {
      this.#problems.push(`${name} is not exported`);
      return [];
    }
    const description = descriptionOf(symbol, this.#checker, this.#link);
    if (description === '') this.#problems.push(`nothing is said of ${name}`);
    return [
      `### ${name}`,
      `\`\`\`ts\n${signatureOf(name, symbol, this.#checker)}\n\`\`\``,
      description,
      ...this.#parameters(symbol),
      ...throwsOf(symbol, this.#checker, this.#link),
      ...this.#members(name, symbol),
    ];
  }

  #parameters(symbol: ts.Symbol): string[] {
    const isFunction = (symbol.flags & ts.SymbolFlags.Function) !== 0;
    if (!isFunction) return [];
    const list = [...parametersOf(symbol, this.#checker, this.#link)];
    return list.length === 0
      ? []
      : [list.map(([name, text]) => `- \`${name}\`: ${text}`).join('\n')];
  }

  #members(name: string, symbol: ts.Symbol): string[] {
    const declaration = symbol.declarations?.find(
      (one) => ts.isInterfaceDeclaration(one) || ts.isClassDeclaration(one),
    );
    const members =
      declaration === undefined ? [] : membersOf(declaration, this.#checker, this.#link);
    const rows = name === 'Socket' ? this.#augmented : members;
    if (rows.length === 0) return [];
    const lines = rows.map(({ name: member, type, text }) => {
      if (text === '') this.#problems.push(`nothing is said of ${name}.${member}`);
      const meaning = text.replace(/^[a-z]/, (letter) => letter.toUpperCase());
      return `| \`${member}\` | \`${cell(type)}\` | ${cell(meaning)} |`;
    });
    return [['| Field | Type | Meaning |', '| --- | --- | --- |', ...lines].join('\n')];
  }
}

function sourceOf(program: ts.Program, path: string): ts.SourceFile {
  const file = program.getSourceFile(path);
  if (file === undefined) throw new Error(`${path} is not part of the program`);
  return file;
}

/** The interface of node:net that a file adds to. */
function augmentedInterface(file: ts.SourceFile): ts.InterfaceDeclaration {
  for (const statement of file.statements) {
    if (!ts.isModuleDeclaration(statement) || statement.body === undefined) continue;
    if (!ts.isModuleBlock(statement.body)) continue;
    const found = statement.body.statements.find((one) => ts.isInterfaceDeclaration(one));
    if (found !== undefined) return found;
  }
  throw new Error(`${file.fileName} adds to no interface`);
}

/**
 * The whole page, formatted.
 * @throws Error when an exported name has no place on it, or nothing is said of one or of its fields
 */
export async function apiPage(): Promise<string> {
  const root = projectRoot();
  const { config } = ts.readConfigFile(join(root, 'tsconfig.json'), (path) =>
    ts.sys.readFile(path),
  ) as {
    config: unknown;
  };
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, root);
  const program = ts.createProgram([join(root, 'lib/net.ts')], options);
  const path = join(root, 'docs/api.md');
  const style = await resolveConfig(path);
  return format(new ApiPage(program, root).write(), { ...style, parser: 'markdown' });
}
