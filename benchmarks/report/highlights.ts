/** The few workloads that say most: for tables in pages, and for the head of the report. */
import type { ResultWorkload, Results } from './result-file';

const titles: readonly [name: string, title: string][] = [
  ['64 KiB writes', 'net: writes of 64 KiB'],
  ['64 B round trip', 'net: round trip of 64 B'],
  ['connects, 1 at once', 'net: new connections'],
  ['http hello world, 1 connection', 'http: hello world, 1 connection'],
  ['http hello world, 100 connections', 'http: hello world, 100 connections'],
  ['http hello world, 1000 connections', 'http: hello world, 1,000 connections'],
  ['http 64 KiB body, 100 connections', 'http: 64 KiB bodies, 100 connections'],
  ['https hello world, 100 connections', 'https: hello world, 100 connections'],
  ['https 64 KiB body, 100 connections', 'https: 64 KiB bodies, 100 connections'],
  ['http2 hello world, 100 connections', 'http2: hello world, 100 connections'],
  ['http2 64 KiB body, 100 connections', 'http2: 64 KiB bodies, 100 connections'],
];

export interface Highlight {
  title: string;
  workload: ResultWorkload;
}

/** Those of them that were measured; everything, where that is not more. */
export function highlightsOf({ workloads }: Results): Highlight[] {
  if (workloads.length <= titles.length) {
    const known = new Map(titles);
    return workloads.map((workload) => {
      return { title: known.get(workload.name) ?? workload.name, workload };
    });
  }
  return titles.flatMap(([name, title]) => {
    const workload = workloads.find((each) => each.name === name);
    return workload === undefined ? [] : [{ title, workload }];
  });
}
