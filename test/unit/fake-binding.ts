/** The binding around the fake transports. */

import type {
  Binding,
  EventsCallback,
  FabricName,
  Transport,
  TransportOptions,
} from '../../lib/native';
import { Status } from '../../lib/native-status';
import { FakeTransport } from './fake-transport';

/** One fabric of a {@link FakeBinding}. */
export class FakeFabric {
  /** What `probe` returns. */
  status: Status = Status.Ok;
  probes = 0;
  /** What `createTransport` throws, if it does. */
  createError: Error | undefined;
  transport: FakeTransport | undefined;
  options: TransportOptions | undefined;
  /** Called with the transport when it is made. */
  onTransport: ((transport: FakeTransport) => void) | undefined;

  constructor(readonly name: FabricName) {}

  create(onEvents: EventsCallback, options: TransportOptions): FakeTransport {
    if (this.transport !== undefined) throw new Error('one transport an environment');
    if (this.createError !== undefined) throw this.createError;
    this.options = options;
    this.transport = new FakeTransport(onEvents, this.name);
    this.onTransport?.(this.transport);
    return this.transport;
  }
}

/** A binding with a transport of each fabric, which can be had before they are made. */
export class FakeBinding implements Binding {
  readonly hasVerbs = true;
  readonly verbs = new FakeFabric('verbs');
  readonly local = new FakeFabric('local');

  /** The transport over RDMA. */
  get transport(): FakeTransport | undefined {
    return this.verbs.transport;
  }

  set onTransport(callback: (transport: FakeTransport) => void) {
    this.verbs.onTransport = callback;
  }

  probe(name: FabricName): Status {
    this[name].probes++;
    return this[name].status;
  }

  createTransport(
    name: FabricName,
    onEvents: EventsCallback,
    options: TransportOptions,
  ): Transport {
    return this[name].create(onEvents, options);
  }
}
