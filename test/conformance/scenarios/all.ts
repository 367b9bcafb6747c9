/** All scenarios, one file a subject. */
import { named, type NamedScenario, type Scenarios } from '../scenario';
import { abort } from './abort';
import { addresses } from './addresses';
import { backpressure } from './backpressure';
import { context } from './context';
import { encodings } from './encodings';
import { endings } from './endings';
import { errors } from './errors';
import { events } from './events';
import { halfClose } from './half-close';
import { handles } from './handles';
import { hooks } from './hooks';
import { iteration } from './iteration';
import { onread } from './onread';
import { options } from './options';
import { properties } from './properties';
import { references } from './references';
import { reset } from './reset';
import { servers } from './servers';
import { timeouts } from './timeouts';

const subjects: Record<string, Scenarios> = {
  events,
  properties,
  options,
  addresses,
  'half-close': halfClose,
  timeouts,
  encodings,
  backpressure,
  onread,
  iteration,
  abort,
  reset,
  errors,
  endings,
  servers,
  references,
  context,
  hooks,
  handles,
};

export function allScenarios(): NamedScenario[] {
  return Object.entries(subjects).flatMap(([subject, scenarios]) =>
    Object.entries(scenarios).map(([name, scenario]) => named(`${subject}: ${name}`, scenario)),
  );
}
