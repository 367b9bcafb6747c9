/**
 * Sockets and servers that are sent to other processes. A TCP handle can be sent; what we put in the
 * place of one cannot, and Node, which takes every handle of a net.Socket for one of libuv, would
 * find out too late.
 */

import type { ChildProcess } from 'node:child_process';
import { subscribe } from 'node:diagnostics_channel';
import net from 'node:net';
import { isBesideTcp } from './info';
import { inside, serverInside } from './internals';
import { settings } from './mode';

/** `send` of a process that has a channel to this one. */
type Send = (message: unknown, handle?: unknown, ...rest: unknown[]) => boolean;

/** A ChildProcess, or `process` in a child. */
interface Target {
  send?: Send | undefined;
}

interface ChildProcessInside extends Target {
  spawn(options: unknown): unknown;
}

/** Called with a server that is being sent, or of which an accepted socket is. */
type OnPassing = (server: net.Server) => void;

let caught = false;

/** Watches what is sent to other processes from now on. */
export function catchPassing(onPassing: OnPassing): void {
  if (typeof process.send === 'function') guard(process as Target, onPassing);
  // It comes from the constructor, before anything is spawned: nothing has to be loaded for it.
  subscribe('child_process', (message) => {
    if (caught) return;
    caught = true;
    const { process: child } = message as { process: ChildProcess };
    catchSpawn(Object.getPrototypeOf(child) as ChildProcessInside, onPassing);
  });
}

function catchSpawn(prototype: ChildProcessInside, onPassing: OnPassing): void {
  // eslint-disable-next-line @typescript-eslint/unbound-method -- called with its object below
  const { spawn } = prototype;
  prototype.spawn = function spawnAndGuard(this: ChildProcessInside, options: unknown): unknown {
    const result = spawn.call(this, options);
    guard(this, onPassing);
    return result;
  };
}

function guard(target: Target, onPassing: OnPassing): void {
  const { send } = target;
  if (send === undefined) return;
  target.send = function guardedSend(
    this: Target,
    message: unknown,
    handle?: unknown,
    ...rest: unknown[]
  ): boolean {
    if (typeof handle !== 'object' || handle === null) {
      return send.call(this, message, handle, ...rest);
    }
    const server = handle instanceof net.Socket ? inside(handle)._server : handle;
    const passes = server instanceof net.Server && serverInside(server)._handle !== null;
    if (passes && settings.mode !== 'require') onPassing(server);
    // What is no handle at all makes Node throw what it throws for those that cannot be sent.
    const cannotBeSent = handle instanceof net.Socket && isBesideTcp(handle);
    return send.call(this, message, cannotBeSent ? {} : handle, ...rest);
  };
}
