/** All scenarios, one file a subject. */
import { named, type NamedScenario, type Scenarios } from '../scenario';
import { events } from './events';
import { properties } from './properties';

const subjects: Record<string, Scenarios> = { events, properties };

export function allScenarios(): NamedScenario[] {
  return Object.entries(subjects).flatMap(([subject, scenarios]) =>
    Object.entries(scenarios).map(([name, scenario]) => named(`${subject}: ${name}`, scenario)),
  );
}
