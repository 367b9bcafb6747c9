import os from 'node:os';

/** On what something was measured. Nothing in it tells whose machine it is, or where. */
export interface Machine {
  /** Whether it is the lab's guest. */
  lab: boolean;
  platform: string;
  /** The kernel's release. */
  kernel: string;
  /** The model of its processors. */
  processor: string;
  processors: number;
  memoryGibibytes: number;
  node: string;
  /** Of the RDMA device that took part. */
  device: string | null;
}

export function thisMachine(where: { lab: boolean; device: string | null }): Machine {
  const cpus = os.cpus();
  return {
    lab: where.lab,
    platform: `${process.platform} ${process.arch}`,
    kernel: os.release(),
    processor: cpus[0]?.model.trim().replaceAll(/\s+/g, ' ') ?? 'unknown',
    processors: cpus.length,
    memoryGibibytes: Math.round(os.totalmem() / 2 ** 30),
    node: process.version,
    device: where.device,
  };
}

/** A line of text. */
export function describeMachine(machine: Machine): string {
  const { lab, processors, processor, kernel, node, device } = machine;
  return [
    ...(lab ? ["the lab's guest"] : []),
    `${processors} × ${processor}`,
    `kernel ${kernel}`,
    `Node ${node}`,
    ...(device === null ? [] : [`RDMA device ${device}`]),
  ].join(', ');
}
