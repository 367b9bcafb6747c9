/** The native addon of this environment, or what tests put in its place. */

import path from 'node:path';
import loadAddon from 'node-gyp-build';
import type { Binding } from './native';
import { reasonFor, type Reason } from './reasons';

/** How an injected binding differs from the real one. */
export interface BindingTraits {
  /** True when loopback addresses can be reached over RDMA. */
  ownsLoopback: boolean;
}

let binding: Binding | undefined;
let traits: BindingTraits = { ownsLoopback: false };
let failure: Reason | undefined;

/** Uses another binding instead of the addon. */
export function setBinding(other: Binding, otherTraits: BindingTraits): void {
  binding = other;
  traits = otherTraits;
  failure = undefined;
}

/** The binding if it can be loaded. */
export function theBinding(): Binding | undefined {
  if (binding !== undefined || failure !== undefined) return binding;
  try {
    // From dist/lib to the root of the package.
    binding = loadAddon(path.join(__dirname, '..', '..')) as Binding;
  } catch (error) {
    const [line = ''] = String(error instanceof Error ? error.message : error).split('\n', 1);
    failure = reasonFor('addon-missing', line);
  }
  return binding;
}

/** Why it could not be loaded. */
export function bindingFailure(): Reason | undefined {
  return failure;
}

/** Whether loopback addresses go to RDMA. */
export function ownsLoopback(): boolean {
  return traits.ownsLoopback;
}
