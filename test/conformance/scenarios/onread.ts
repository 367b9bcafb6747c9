/** The option `onread`: what is read goes into memory of the program. */
import type { Socket } from 'node:net';
import type { Scenarios } from '../scenario';
import { SOCKET_EVENTS, closed, turn, type Stage } from '../stage';

const BYTES = 16;

/** Options that read into one buffer, or into a new one each time. */
function intoBuffer(stage: Stage, fresh: boolean, onRead?: (bytes: number) => boolean): object {
  const buffer = Buffer.alloc(BYTES);
  return {
    buffer: fresh ? () => Buffer.alloc(BYTES) : buffer,
    callback: (bytes: number, given: Uint8Array) => {
      const lane = stage.lane('client');
      if (!fresh && given.buffer !== buffer.buffer) lane.note('another buffer');
      if (given.byteLength !== BYTES) lane.note('another length', given.byteLength);
      lane.data(given.subarray(0, bytes), 'onread');
      return onRead?.(bytes) ?? true;
    },
  };
}

export const onread: Scenarios = {
  'into one buffer, piece by piece': async (stage) => {
    const { client, accepted } = await stage.pair({ onread: intoBuffer(stage, false) });
    stage.lane('client').watch(client, ...SOCKET_EVENTS);
    accepted.write('more than one buffer takes at once, ');
    accepted.resume().end('and a bit more');
    await closed(client, accepted);
    stage.lane('client').note('read', client.bytesRead, client.readableLength);
  },

  'into a new buffer each time': async (stage) => {
    const { client, accepted } = await stage.pair({ onread: intoBuffer(stage, true) });
    stage.lane('client').watch(client, ...SOCKET_EVENTS);
    accepted.resume().end('more than one buffer takes at once');
    await closed(client, accepted);
  },

  'false from the callback pauses until resume': async (stage) => {
    const paused: { socket?: Socket } = {};
    let calls = 0;
    const lane = stage.lane('client');
    const pausing = (): boolean => {
      calls++;
      setImmediate(() => {
        lane.note('paused', paused.socket?.isPaused());
        paused.socket?.resume();
      });
      return false;
    };
    const { client, accepted } = await stage.pair({ onread: intoBuffer(stage, false, pausing) });
    paused.socket = client;
    client.on('end', () => lane.note('end'));
    accepted.resume().end('0123456789abcdef0123456789abcdef01234567');
    await closed(client, accepted);
    lane.note('calls', calls, client.bytesRead);
  },

  'a socket paused by its program reads on after resume': async (stage) => {
    const { client, accepted } = await stage.pair({ onread: intoBuffer(stage, false) });
    const lane = stage.lane('client');
    client.pause();
    accepted.end('waits');
    await turn();
    await turn();
    lane.note('paused', client.isPaused());
    client.on('end', () => lane.note('end')).resume();
    await closed(client, accepted.resume());
  },

  'what the callback throws is uncaught': async (stage) => {
    let isFirst = true;
    const throwing = (): boolean => {
      const throws = isFirst;
      isFirst = false;
      if (throws) throw new Error('from onread');
      return true;
    };
    const { client, accepted } = await stage.pair({ onread: intoBuffer(stage, false, throwing) });
    const lane = stage.lane('client');
    lane.watch(client, 'end', 'error', 'close');
    accepted.resume().end('0123456789abcdefX');
    await closed(client, accepted);
  },
};
