/** The files of a machine, seen read-only: those of this one, or of a tree that a test has made. */

import {
  existsSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  realpathSync,
  statSync,
} from 'node:fs';
import path from 'node:path';

/** As `mlx5_9` and `mlx5_10`. Intl.Collator would take longer than all the rest. */
function byNameAndNumber(a: string, b: string): number {
  const [, nameOfA = '', numberOfA] = /^(.*?)(\d*)$/.exec(a) ?? [];
  const [, nameOfB = '', numberOfB] = /^(.*?)(\d*)$/.exec(b) ?? [];
  if (nameOfA !== nameOfB) return nameOfA < nameOfB ? -1 : 1;
  return Number(numberOfA) - Number(numberOfB);
}

/** What cannot be read is not there: a doctor looks at machines that lack things. */
export class Files {
  readonly #root: string;

  /** @param root the folder that stands for `/` */
  constructor(root = '/') {
    this.#root = root;
  }

  /** The text of a file, without blanks around it. */
  text(file: string): string | undefined {
    try {
      return readFileSync(this.#at(file), 'utf8').trim();
    } catch {
      return undefined;
    }
  }

  /** The bytes of a file, one character each. */
  bytes(file: string): string | undefined {
    try {
      return readFileSync(this.#at(file), 'latin1');
    } catch {
      return undefined;
    }
  }

  /** The number in a file. */
  number(file: string): number | undefined {
    const text = this.text(file);
    return text === undefined || text === '' ? undefined : Number(text);
  }

  /** The names in a folder, numbers in them in their order. */
  list(folder: string): string[] {
    try {
      return readdirSync(this.#at(folder)).sort(byNameAndNumber);
    } catch {
      return [];
    }
  }

  has(file: string): boolean {
    return existsSync(this.#at(file));
  }

  /** The last name of what a link points to. */
  linkName(link: string): string | undefined {
    try {
      return path.basename(readlinkSync(this.#at(link)));
    } catch {
      return undefined;
    }
  }

  /** The file behind all links. */
  real(file: string): string | undefined {
    try {
      const found = realpathSync(this.#at(file));
      return this.#root === '/' ? found : `/${path.relative(realpathSync(this.#root), found)}`;
    } catch {
      return undefined;
    }
  }

  stat(file: string): { mode: number; userId: number; groupId: number } | undefined {
    try {
      const { mode, uid, gid } = statSync(this.#at(file));
      return { mode, userId: uid, groupId: gid };
    } catch {
      return undefined;
    }
  }

  #at(file: string): string {
    return this.#root === '/' ? file : path.join(this.#root, file);
  }
}
