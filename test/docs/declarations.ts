/** How declarations look to those who use them. */

import ts from 'typescript';
import { descriptionOf, type Linker } from './tsdoc';

/** A field of an interface or a class. */
export interface Member {
  readonly name: string;
  readonly type: string;
  readonly text: string;
}

// In lib/ node:net has another name where Socket and Server are made.
function publicText(node: ts.Node): string {
  return node
    .getText()
    .replace(/\bnodeNet\b/g, 'net')
    .replace(/^export /, '');
}

function symbolOf(node: ts.NamedDeclaration, checker: ts.TypeChecker): ts.Symbol {
  const symbol = node.name === undefined ? undefined : checker.getSymbolAtLocation(node.name);
  if (symbol === undefined) throw new Error(`${node.getText()} has no symbol`);
  return symbol;
}

type Field = ts.PropertySignature | ts.PropertyDeclaration | ts.ParameterDeclaration;

function typeOf(field: Field, checker: ts.TypeChecker): string {
  if (field.type !== undefined) return publicText(field.type);
  const initializer = ts.isPropertySignature(field) ? undefined : field.initializer;
  // `readonly code = 'ERR_...'` is of that very type.
  if (initializer !== undefined && ts.isStringLiteral(initializer)) return initializer.getText();
  return checker.typeToString(checker.getTypeAtLocation(field));
}

/** The public fields of an interface or a class, without those that it inherits. */
export function membersOf(
  declaration: ts.InterfaceDeclaration | ts.ClassDeclaration,
  checker: ts.TypeChecker,
  link: Linker,
): Member[] {
  return [...declaration.members].flatMap((member): Member[] => {
    if (ts.isConstructorDeclaration(member)) return fieldsOfConstructor(member, checker, link);
    if (!ts.isPropertySignature(member) && !ts.isPropertyDeclaration(member)) return [];
    // That an error has a name of its own is no news.
    if (member.modifiers?.some(({ kind }) => kind === ts.SyntaxKind.OverrideKeyword)) return [];
    const text = descriptionOf(symbolOf(member, checker), checker, link);
    const optional = member.questionToken === undefined ? '' : '?';
    return [{ name: `${member.name.getText()}${optional}`, type: typeOf(member, checker), text }];
  });
}

/** Those of its parameters that are fields as well. */
function fieldsOfConstructor(
  constructor: ts.ConstructorDeclaration,
  checker: ts.TypeChecker,
  link: Linker,
): Member[] {
  return constructor.parameters
    .filter((parameter) => ts.isParameterPropertyDeclaration(parameter, constructor))
    .map((parameter) => ({
      name: parameter.name.getText(),
      type: typeOf(parameter, checker),
      text: descriptionOf(symbolOf(parameter, checker), checker, link),
    }));
}

function heritageText({ heritageClauses }: ts.InterfaceDeclaration | ts.ClassDeclaration): string {
  return (heritageClauses ?? []).map((clause) => ` ${publicText(clause)}`).join('');
}

function variableType(declaration: ts.VariableDeclaration, checker: ts.TypeChecker): string {
  const { initializer } = declaration;
  if (initializer !== undefined && ts.isSatisfiesExpression(initializer)) {
    return publicText(initializer.type);
  }
  if (initializer !== undefined && ts.isAsExpression(initializer)) {
    return publicText(initializer.type);
  }
  if (initializer !== undefined && ts.isIdentifier(initializer)) {
    return `typeof ${initializer.text}`;
  }
  // A class of node:net from which another one is made.
  if (initializer !== undefined && ts.isCallExpression(initializer)) {
    const [base] = initializer.arguments;
    if (base !== undefined) return `typeof ${publicText(base)}`;
  }
  return checker.typeToString(checker.getTypeAtLocation(declaration));
}

/** An exported name as it would stand in a declaration file. */
export function signatureOf(name: string, symbol: ts.Symbol, checker: ts.TypeChecker): string {
  const declarations = symbol.declarations ?? [];
  const functions = declarations.filter((one) => ts.isFunctionDeclaration(one));
  // Of a function with overloads, the one with a body is not for callers.
  const signatures = functions.length > 1 ? functions.filter(({ body }) => !body) : functions;
  if (signatures.length > 0) return signatures.map(functionText).join('\n');
  for (const declaration of declarations) {
    if (ts.isInterfaceDeclaration(declaration)) {
      return `interface ${name}${heritageText(declaration)}`;
    }
    if (ts.isClassDeclaration(declaration)) return `class ${name}${heritageText(declaration)}`;
    if (ts.isVariableDeclaration(declaration)) {
      return `const ${name}: ${variableType(declaration, checker)};`;
    }
    if (ts.isTypeAliasDeclaration(declaration)) return aliasText(name, declaration, checker);
  }
  throw new Error(`${name} is of a kind that the page does not know`);
}

function aliasText(
  name: string,
  declaration: ts.TypeAliasDeclaration,
  checker: ts.TypeChecker,
): string {
  if (!ts.isIndexedAccessTypeNode(declaration.type)) return publicText(declaration);
  const type = checker.getTypeAtLocation(declaration);
  return `type ${name} = ${checker.typeToString(type, undefined, ts.TypeFormatFlags.InTypeAlias)};`;
}

function functionText(declaration: ts.FunctionDeclaration): string {
  const { parameters, type, name } = declaration;
  const list = parameters.map(publicText).join(', ');
  return `function ${name?.text ?? ''}(${list}): ${type === undefined ? 'void' : publicText(type)};`;
}
