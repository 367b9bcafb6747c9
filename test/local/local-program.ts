import path from 'node:path';
import { Program, type ProgramOptions } from '../rdma/program';

/** A Node program of test/local/programs. */
export class LocalProgram extends Program {
  constructor(name: string, options: ProgramOptions = {}) {
    super(path.join(__dirname, 'programs', name), options);
  }
}

/** Fails after so many milliseconds with what was waited for: hanging is what a test may find. */
export async function within<T>(ms: number, what: string, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} took more than ${ms} ms`)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
