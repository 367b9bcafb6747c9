/** When it is known over what a server can be reached. */

import type { Server } from 'node:net';
import { info } from './info';
import { FABRIC_TRANSPORTS, type FabricTransportName } from './mode';

function isSettled(server: Server): boolean {
  const { transports, reasons, reason } = info(server);
  const isKnown = (name: FabricTransportName): boolean =>
    transports.includes(name) || reasons[name] !== undefined;
  return reason !== undefined || FABRIC_TRANSPORTS.every(isKnown);
}

/**
 * Waits until each transport of a listening server is open or has failed: opening libraries and
 * devices, or the refusal of a device, comes some turns after 'listening'.
 */
export async function settled(server: Server, waitMsMax: number): Promise<void> {
  const untilMs = performance.now() + waitMsMax;
  while (server.listening && !isSettled(server) && performance.now() < untilMs) {
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}
