/** What a scenario is, and where it can be played. */
import type { Stage } from './stage';

export interface Scenario {
  play(stage: Stage): Promise<void> | void;
  /** False where this Node does not know what it is about. */
  known?: boolean;
  /** It must go to TCP, with the preload, too: mode `prefer` is set for it. */
  onTcp?: boolean;
  /** One server of several has the other transport: mode `prefer`, and any transport is right. */
  onAny?: boolean;
  /** Needs addresses of loopback, or is about nothing that the device could change. */
  onlyHere?: boolean;
}

/** By what they show. */
export type Scenarios = Record<string, Scenario | Scenario['play']>;

/** One to play, with everything said. */
export interface NamedScenario extends Scenario {
  name: string;
}

export const nodeMajor = Number(process.versions.node.split('.')[0]);

/** A scenario that only this may hinder. */
export function named(name: string, scenario: Scenario | Scenario['play']): NamedScenario {
  return typeof scenario === 'function' ? { name, play: scenario } : { ...scenario, name };
}
