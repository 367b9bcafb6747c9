/** The binding around the fake transport. */

import type { Binding, EventsCallback, Transport, TransportOptions } from '../../lib/native';
import { Status } from '../../lib/status';
import { FakeTransport } from './fake-transport';

/** A binding with one transport, which can be had before it is made. */
export class FakeBinding implements Binding {
  readonly hasVerbs = true;
  /** What `probe` returns. */
  status: Status = Status.Ok;
  probes = 0;
  transport: FakeTransport | undefined;
  options: TransportOptions | undefined;
  /** Called with the transport when it is made. */
  onTransport: ((transport: FakeTransport) => void) | undefined;

  probe(): Status {
    this.probes++;
    return this.status;
  }

  createTransport(onEvents: EventsCallback, options: TransportOptions): Transport {
    if (this.transport !== undefined) throw new Error('one transport an environment');
    this.options = options;
    this.transport = new FakeTransport(onEvents);
    this.onTransport?.(this.transport);
    return this.transport;
  }
}
