/** The scenarios of peers/, and what is to come of each. */

/** Connection data that must be refused. */
export interface Refusal {
  readonly scenario: string;
  /** For a sentence: "a client's ... is refused". */
  readonly what: string;
  /** Name in `enum class Violation` of binding/stream/wire.h. */
  readonly violation: string;
}

export const refusals: readonly Refusal[] = [
  {
    scenario: 'connect-data-cut-short',
    what: 'connection data that ends too early',
    // The connection manager fills it up with zeros.
    violation: 'SglEntries',
  },
  {
    scenario: 'connect-data-version',
    what: 'connection data of another version',
    violation: 'Version',
  },
  {
    scenario: 'connect-data-no-credits',
    what: 'connection data without credits',
    violation: 'NoCredits',
  },
  {
    scenario: 'connect-data-no-entries',
    what: 'connection data without entries for buffers',
    violation: 'SglEntries',
  },
  {
    scenario: 'connect-data-too-many-entries',
    what: 'connection data with 2^32 - 1 entries for buffers',
    violation: 'SglEntries',
  },
  {
    scenario: 'connect-data-entries-wrap',
    what: 'connection data with entries beyond the end of the address space',
    violation: 'SglAddress',
  },
  {
    scenario: 'connect-data-empty-buffer',
    what: 'connection data with an empty buffer',
    violation: 'BufferLength',
  },
  {
    scenario: 'connect-data-buffer-wraps',
    what: 'connection data with a buffer beyond the end of the address space',
    violation: 'BufferAddress',
  },
  { scenario: 'connect-data-garbage', what: 'garbage as connection data', violation: 'Version' },
  {
    scenario: 'connect-data-garbage-of-version-1',
    what: 'garbage after the right version',
    violation: 'SglEntries',
  },
];

/** Something a connected peer does that must cost it its connection. */
export interface Offence {
  readonly scenario: string;
  readonly sentence: string;
  /** Name in `enum class Violation` of binding/stream/wire.h... */
  readonly violation?: string;
  /** ...or the code of the cause, where it is not the engine that notices. */
  readonly cause?: string | RegExp;
  /** Code of the error, if not EPROTO. */
  readonly code?: string;
  /**
   * The server that it is played against, if not `echo`: one that writes nothing, where a write could
   * meet the failure before its event.
   */
  readonly server?: 'silent';
  /** What the peer's own device says of it. */
  readonly completion?: string;
  /** The peer is no more when its connection is reset. */
  readonly vanishes?: boolean;
}

const reset = { code: 'ECONNRESET', cause: 'ERR_RDMA_CONNECTION_RESET' };
/** What was being written to it when it went may have been refused before the news came. */
const vanished = { code: 'ECONNRESET', cause: /^ERR_RDMA_(REMOTE_ACCESS|CONNECTION_RESET)$/ };
/** Devices differ in whether they tell the side that was to be written to. */
const forbiddenWrite = {
  code: 'ECONNRESET',
  cause: /^ERR_RDMA_(REMOTE_ACCESS|CONNECTION_RESET)$/,
  completion: 'remote access error',
};
const refusedWrite = { code: 'ECONNRESET', cause: 'ERR_RDMA_REMOTE_ACCESS' };

export const offences: readonly Offence[] = [
  ...[1, 2, 3, 5].map((operation) => ({
    scenario: `operation-${operation}`,
    sentence: `the reserved operation ${operation} resets the connection`,
    violation: 'UnknownOperation',
  })),
  {
    scenario: 'unknown-control',
    sentence: 'an unknown control message resets the connection',
    violation: 'UnknownControl',
  },
  {
    scenario: 'data-too-long',
    sentence: 'more data than the buffer has room for resets the connection',
    violation: 'DataTooLong',
    server: 'silent',
  },
  {
    scenario: 'value-above-length',
    sentence: 'a message that says more bytes than were written resets the connection',
    violation: 'DataLengthMismatch',
  },
  {
    scenario: 'value-below-length',
    sentence: 'a message that says fewer bytes than were written resets the connection',
    violation: 'DataLengthMismatch',
  },
  {
    scenario: 'data-without-buffer',
    sentence: 'data when all published buffers are full resets the connection',
    violation: 'DataWithoutBuffer',
    server: 'silent',
  },
  {
    scenario: 'data-after-shutdown',
    sentence: 'data after the end of the stream resets the connection',
    violation: 'DataAfterShutdown',
    server: 'silent',
  },
  {
    scenario: 'shutdown-twice',
    sentence: 'a second end of the stream resets the connection',
    violation: 'DataAfterShutdown',
    server: 'silent',
  },
  {
    scenario: 'credits-exceeded',
    sentence: 'more messages than credits reset the connection',
    violation: 'CreditsExceeded',
  },
  {
    scenario: 'credits-backwards',
    sentence: 'credits that are taken back reset the connection',
    violation: 'CreditsBackwards',
  },
  {
    scenario: 'credits-too-many',
    sentence: 'more credits than a peer can have resets the connection',
    violation: 'CreditsTooMany',
  },
  {
    scenario: 'too-many-buffers',
    sentence: 'more published buffers than there are entries reset the connection',
    violation: 'TooManyBuffers',
  },
  {
    scenario: 'published-buffer-wraps',
    sentence: 'a published buffer beyond the end of the address space resets the connection',
    violation: 'BufferAddress',
  },
  {
    scenario: 'send',
    sentence: 'a SEND instead of a message resets the connection',
    violation: 'NotAMessage',
  },
  {
    scenario: 'send-with-bytes',
    sentence: 'a SEND of bytes for which there is no memory resets the connection',
    code: 'ECONNABORTED',
    cause: 'ERR_RDMA_LOCAL_ERROR',
  },
  {
    scenario: 'write-outside',
    sentence: 'a write outside of the published memory fails and resets the connection',
    ...forbiddenWrite,
  },
  {
    scenario: 'write-with-other-key',
    sentence: 'a write with a key that was not given fails and resets the connection',
    ...forbiddenWrite,
  },
  {
    scenario: 'buffer-with-other-key',
    sentence: 'a peer whose buffer cannot be written to loses its connection',
    ...refusedWrite,
  },
  {
    scenario: 'entries-with-other-key',
    sentence: 'a peer whose entries cannot be written to loses its connection',
    ...refusedWrite,
    server: 'silent',
  },
  {
    scenario: 'stop-at-once',
    sentence: 'a peer that disconnects without a word resets the connection',
    ...reset,
  },
  {
    scenario: 'exit-at-once',
    sentence: 'a peer whose process ends in the middle resets the connection',
    ...vanished,
    vanishes: true,
  },
];

/** Messages that are allowed one by one, and cost work: so many of them are not. */
export const floods: readonly Offence[] = [
  {
    scenario: 'keepalive-flood',
    sentence: 'a flood of keepalives resets the connection',
    violation: 'ControlFlood',
  },
  {
    scenario: 'credits-flood',
    sentence: 'a flood of credit updates resets the connection',
    violation: 'ControlFlood',
  },
  {
    scenario: 'iomap-flood',
    sentence: 'a flood of iomap updates resets the connection',
    violation: 'ControlFlood',
  },
];

/** Peers that go on writing to a buffer that they have filled. */
export const writesBehind = [
  {
    scenario: 'write-behind',
    sentence: 'what was read does not change when the peer goes on writing to its buffer',
  },
  {
    scenario: 'write-behind-with-messages',
    sentence: 'nor when the peer calls it data',
  },
] as const;

/** Peers within the rules: 300,000 bytes are echoed, and the connection ends in good order. */
export const legalPeers = [
  { scenario: 'plain', sentence: 'a plain peer is served' },
  { scenario: 'big-endian', sentence: 'a big-endian peer is served' },
  { scenario: 'one-entry', sentence: 'a peer with one entry for buffers is served' },
  { scenario: 'eight-entries', sentence: 'a peer with eight entries for buffers is served' },
  { scenario: 'no-iomap-flag', sentence: 'a peer that knows no iomap is served' },
  { scenario: 'keepalives', sentence: 'keepalives change nothing' },
  { scenario: 'iomap-updates', sentence: 'iomap updates that nobody asked for change nothing' },
  { scenario: 'empty-data', sentence: 'data messages without bytes change nothing' },
] as const;
