/** What metrics.js tells, judged as a reader of OpenMetrics would. */
import path from 'node:path';
import t, { type Test } from 'tap';
import { reasons } from '../../lib/reasons';
import { Example, HERE } from './example';

const fetchProgram = path.join(__dirname, 'fetch.js');
const CONTENT_TYPE = 'application/openmetrics-text; version=1.0.0; charset=utf-8';

async function fetched(t: Test, url: string): Promise<string> {
  const { output, errors } = await Example.node(t, fetchProgram, [url]).ends();
  if (errors !== '') throw new Error(errors);
  return output;
}

const LABEL = '[a-z]+="[a-z0-9_-]+"';
const SAMPLE = new RegExp(`^((rdma_net_[a-z_]+)\\{${LABEL}(?:,${LABEL})*\\}) (\\d+)$`);

/** Checks the form of a page, and gives its samples by name and labels. */
async function samplesOf(t: Test, url: string): Promise<Map<string, number>> {
  const [contentType, ...lines] = (await fetched(t, `${url}/metrics`)).trimEnd().split('\n');
  t.equal(contentType, CONTENT_TYPE);
  t.equal(lines.pop(), '# EOF');
  const samples = new Map<string, number>();
  const wrong: string[] = [];
  let [name, type] = ['', ''];
  for (const line of lines) {
    const [, described] = /^# HELP (\S+) \S.*\.$/.exec(line) ?? [];
    const [, typed, kind] = /^# TYPE (\S+) (gauge|counter)$/.exec(line) ?? [];
    const [, sample, sampled, value] = SAMPLE.exec(line) ?? [];
    if (described !== undefined) name = described;
    else if (typed === name && kind !== undefined) type = kind;
    else if (sample === undefined || samples.has(sample)) wrong.push(line);
    else if (sampled !== (type === 'counter' ? `${name}_total` : name)) wrong.push(line);
    else samples.set(sample, Number(value));
  }
  t.strictSame(wrong, [], 'all other lines are as OpenMetrics wants them');
  return samples;
}

const local = (name: string): string => `rdma_net_${name}{transport="local"}`;
const bytes = (direction: string, method: string): string =>
  `rdma_net_${direction}_bytes_total{transport="local",method="${method}"}`;

async function started(t: Test, transports: string): Promise<{ server: Example; url: string }> {
  const env = { RDMA_NET_TRANSPORTS: transports };
  const server = Example.node(t, 'metrics.js', ['127.0.0.1', '0'], { env });
  const [, url = ''] = await server.prints(/listening on (http:.*)\n/);
  return { server, url };
}

export function metricsTests(): void {
  void t.test('metrics.js tells in OpenMetrics what is there when it is asked', HERE, async (t) => {
    const { server, url } = await started(t, 'local');
    const before = await samplesOf(t, url);
    t.match(await fetched(t, url), /Hello over local/);
    const after = await samplesOf(t, url);
    t.strictSame([...after.keys()], [...before.keys()], 'traffic adds no series');
    t.equal(after.get(local('listeners')), 1);
    t.equal(after.get(local('connections')), 1, 'that of whoever asks');
    for (const counted of [
      local('messages_sent_total'),
      local('messages_received_total'),
      bytes('sent', 'in_place'),
      bytes('received', 'copy'),
    ]) {
      const [first, last] = [before.get(counted) ?? NaN, after.get(counted) ?? NaN];
      t.ok(last > first, `${counted} has become more: ${first}, ${last}`);
    }
    // Counted by rdma-net, and not once more at each look.
    const sent = after.get(bytes('sent', 'in_place')) ?? NaN;
    const page = (await fetched(t, `${url}/metrics`)).length;
    t.ok(sent < 2 * page, `${sent} bytes were sent, of which the first page is most`);
    await server.interrupt();
  });

  void t.test('metrics.js counts what went to TCP for each reason', HERE, async (t) => {
    // No device of RDMA owns that address, whatever there is.
    const { server, url } = await started(t, 'rdma');
    const samples = await samplesOf(t, url);
    const fallbacks = Object.keys(reasons).map((reason) =>
      samples.get(`rdma_net_fallbacks_total{reason="${reason}"}`),
    );
    t.equal(fallbacks.length, samples.size, 'and nothing is told of transports that are not used');
    t.equal(fallbacks.filter((count) => count === 0).length, fallbacks.length - 1);
    t.equal(fallbacks.filter((count) => count === 1).length, 1, 'the server has one reason');
    await server.interrupt();
  });
}
