/** What there is to know about a hub. */
export interface HubProperties {
  readonly name: string;
  readonly createdAt: Date;
  readonly partitionIds: readonly string[];
  /** How many regions hold it: 1 unless it is geo-replicated. */
  readonly georeplicationFactor: number;
}

/** What there is to know about a partition. */
export interface PartitionProperties {
  readonly eventHub: string;
  readonly partitionId: string;
  /** The sequence number of the oldest retained event. */
  readonly beginSequenceNumber: number;
  /** The sequence number of the newest event; -1 when there never was one. */
  readonly lastEnqueuedSequenceNumber: number;
  /** The offset of the newest event; `-1` when there never was one. */
  readonly lastEnqueuedOffset: string;
  /** When the newest event was enqueued. */
  readonly lastEnqueuedTime: Date | undefined;
  /** Whether no event is retained. */
  readonly isEmpty: boolean;
}
