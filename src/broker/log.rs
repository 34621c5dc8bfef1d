//! A partition's log: events by sequence number, in memory.

use std::collections::VecDeque;

use bytes::Bytes;

use super::config::Retention;
use crate::model::value::Timestamp;

/// Events of one segment. Segments start at multiples of this, so an event is found without searching; small
/// enough that a partition with a few events stays small.
const SEGMENT: usize = 1024;

/// What an event costs besides its bytes, for the bounds on memory.
const ENTRY_OVERHEAD: u64 = size_of::<Entry>() as u64;

/// One stored event: `head` followed by `body` is the encoded message as it is delivered.
#[derive(Clone, Debug, Default)]
pub(super) struct Entry {
    pub(super) offset: i64,
    pub(super) enqueued: i64,
    pub(super) head: Bytes,
    pub(super) body: Bytes,
}

/// The retained events of a partition, and where it goes on.
#[derive(Debug)]
pub(super) struct Log {
    /// Entries before `begin` in the first segment are empty.
    segments: VecDeque<Vec<Entry>>,
    begin: i64,
    next: i64,
    next_offset: i64,
    last_enqueued: Option<i64>,
    bytes: u64,
}

impl Entry {
    /// The event's size: what the next event's offset lies behind this one's.
    pub(super) fn size(&self) -> u64 {
        (self.head.len() + self.body.len()) as u64
    }

    fn cost(&self) -> u64 {
        self.size() + ENTRY_OVERHEAD
    }
}

impl Log {
    /// A log that was never written.
    pub(super) fn new() -> Self {
        Log { segments: VecDeque::new(), begin: 0, next: 0, next_offset: 0, last_enqueued: None, bytes: 0 }
    }

    /// A log whose events before `sequence` are gone.
    pub(super) fn starting_at(sequence: i64) -> Self {
        let mut log = Log::new();
        log.begin = sequence;
        log.next = sequence;
        let skipped = position(sequence);
        if skipped > 0 {
            log.segments.push_back(vec![Entry::default(); skipped]);
        }
        log
    }

    /// The sequence number of the oldest retained event; of the next one when there is none.
    pub(super) fn begin(&self) -> i64 {
        self.begin
    }

    /// The sequence number of the next event.
    pub(super) fn next(&self) -> i64 {
        self.next
    }

    /// The offset of the next event.
    pub(super) fn next_offset(&self) -> i64 {
        self.next_offset
    }

    /// The bytes that the retained events cost.
    #[cfg(test)]
    fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The time for an event enqueued at `now`: never before the one in front of it.
    pub(super) fn enqueue_time(&self, now: Timestamp) -> i64 {
        self.last_enqueued.map_or(now.as_millis(), |last| last.max(now.as_millis()))
    }

    /// Appends an event and says what it costs. Its offset is [`next_offset`](Self::next_offset).
    pub(super) fn append(&mut self, entry: Entry) -> u64 {
        let cost = entry.cost();
        self.next_offset = entry.offset + entry.size() as i64;
        self.last_enqueued = Some(entry.enqueued);
        self.bytes += cost;
        match self.segments.back_mut() {
            Some(segment) if segment.len() < SEGMENT => segment.push(entry),
            _ => self.segments.push_back(vec![entry]),
        }
        self.next += 1;
        cost
    }

    /// Takes back the events from `sequence` on, and says what they cost.
    pub(super) fn truncate(&mut self, sequence: i64) -> u64 {
        let mut freed = 0;
        while self.next > sequence.max(self.begin) {
            let Some(entry) = self.segments.back_mut().and_then(Vec::pop) else { break };
            freed += entry.cost();
            self.next_offset = entry.offset;
            self.next -= 1;
            if self.segments.back().is_some_and(Vec::is_empty) {
                self.segments.pop_back();
            }
        }
        self.bytes -= freed;
        if let Some(last) = self.entry(self.next - 1) {
            self.last_enqueued = Some(last.enqueued);
        }
        freed
    }

    /// An event that is retained.
    pub(super) fn entry(&self, sequence: i64) -> Option<&Entry> {
        if sequence < self.begin || sequence >= self.next {
            return None;
        }
        self.segments.get(self.segment_of(sequence))?.get(position(sequence))
    }

    /// The retained events from `from` up to but not including `until`.
    pub(super) fn entries(&self, from: i64, until: i64) -> impl Iterator<Item = &Entry> {
        let from = from.max(self.begin);
        let count = usize::try_from(until.min(self.next) - from).unwrap_or(0);
        let first = if count == 0 { self.segments.len() } else { self.segment_of(from) };
        let mut skipped = position(from);
        let rest = move |segment| <[Entry]>::get(segment, std::mem::take(&mut skipped)..).unwrap_or_default();
        self.segments.range(first..).map(Vec::as_slice).flat_map(rest).take(count)
    }

    /// The sequence number of the first event for which `behind` holds, given that it holds for all later ones.
    pub(super) fn first(&self, until: i64, behind: impl Fn(&Entry) -> bool) -> i64 {
        let (mut low, mut high) = (self.begin, until.min(self.next).max(self.begin));
        while low < high {
            let middle = low + (high - low) / 2;
            if self.entry(middle).is_some_and(&behind) { high = middle } else { low = middle + 1 }
        }
        low
    }

    /// Drops what is older than `retention` allows, but nothing from `keep` on, and says what it cost.
    pub(super) fn trim(&mut self, retention: &Retention, now: Timestamp, keep: i64) -> u64 {
        let oldest =
            now.as_millis().saturating_sub(i64::try_from(retention.time.as_millis()).unwrap_or(i64::MAX));
        let mut freed = 0;
        while self.begin < keep.min(self.next) {
            let newest = self.begin + 1 == self.next;
            let full = self.bytes - freed > retention.bytes_per_partition && !newest;
            let Some(entry) = self.segments.front_mut().and_then(|s| s.get_mut(position(self.begin))) else {
                break;
            };
            if !full && entry.enqueued >= oldest {
                break;
            }
            freed += std::mem::take(entry).cost();
            self.begin += 1;
            if position(self.begin) == 0 {
                self.segments.pop_front();
            }
        }
        self.bytes -= freed;
        freed
    }

    /// Drops everything and says what it cost.
    pub(super) fn clear(&mut self) -> u64 {
        let freed = std::mem::take(&mut self.bytes);
        let bare = Log::starting_at(self.next);
        (self.segments, self.begin) = (bare.segments, bare.begin);
        freed
    }

    fn segment_of(&self, sequence: i64) -> usize {
        usize::try_from(sequence / SEGMENT as i64 - self.begin / SEGMENT as i64).unwrap_or(usize::MAX)
    }
}

/// Where in its segment an event lies.
fn position(sequence: i64) -> usize {
    sequence as usize % SEGMENT
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const FOREVER: Retention =
        Retention { time: Duration::from_secs(1 << 40), bytes_per_partition: u64::MAX };

    fn log_of(start: i64, count: i64) -> Log {
        let mut log = Log::starting_at(start);
        for i in 0..count {
            push(&mut log, i * 10);
        }
        log
    }

    fn push(log: &mut Log, enqueued: i64) {
        let text = log.next().to_string();
        let entry = Entry {
            offset: log.next_offset(),
            enqueued,
            head: Bytes::from_static(b"head"),
            body: Bytes::from(text.into_bytes()),
        };
        log.append(entry);
    }

    fn texts(log: &Log, from: i64, until: i64) -> Vec<String> {
        log.entries(from, until).map(|e| String::from_utf8_lossy(&e.body).into_owned()).collect()
    }

    #[test]
    fn any_range_of_events_is_found_across_segments() {
        for start in [0, 5, 1020, 1024, 5000] {
            let log = log_of(start, 3000);
            let end = start + 3000;
            for (from, until) in
                [(start, end), (start + 1, start + 2), (start + 1023, start + 1025), (end - 1, end)]
            {
                let expected: Vec<_> = (from..until).map(|s| s.to_string()).collect();
                assert_eq!(texts(&log, from, until), expected, "{start}: {from}..{until}");
            }
            assert_eq!(texts(&log, end, end + 5), Vec::<String>::new());
            assert_eq!(texts(&log, start - 5, start + 1), vec![start.to_string()]);
            assert_eq!(
                log.entry(start + 2000).map(|e| e.body.clone()),
                Some((start + 2000).to_string().into())
            );
            assert!(log.entry(start - 1).is_none() && log.entry(end).is_none());
        }
    }

    #[test]
    fn offsets_grow_by_the_size_of_each_event() {
        let log = log_of(0, 12);
        let offsets: Vec<_> = log.entries(0, 12).map(|e| e.offset).collect();
        assert_eq!(offsets, [0, 5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 56]);
        assert_eq!(log.next_offset(), 62);
    }

    #[test]
    fn searching_finds_the_first_event_behind_a_point() {
        let log = log_of(1000, 100);
        assert_eq!(log.first(1100, |e| e.enqueued >= 500), 1050);
        assert_eq!(log.first(1100, |e| e.enqueued > 500), 1051);
        assert_eq!(log.first(1100, |_| false), 1100);
        assert_eq!(log.first(1040, |e| e.enqueued >= 500), 1040, "not past what may be seen");
        assert_eq!(log.first(1100, |_| true), 1000);
    }

    #[test]
    fn old_events_go_by_time_and_the_rest_stays() {
        let mut log = log_of(0, 2000);
        let retention = Retention { time: Duration::from_millis(5000), ..FOREVER };
        log.trim(&retention, Timestamp::from_millis(20_000), 2000);
        assert_eq!(log.begin(), 1500, "the events of 15 000 ms and later are 5 s old at most");
        assert_eq!(texts(&log, 0, 1502), ["1500", "1501"]);
        assert_eq!(log.bytes(), log.entries(0, 2000).map(Entry::cost).sum::<u64>());
    }

    #[test]
    fn the_oldest_events_go_when_there_are_too_many_bytes_but_never_the_newest() {
        let mut log = log_of(0, 3000);
        let one = log.entry(2999).unwrap().cost();
        let retention = Retention { bytes_per_partition: 10 * one, ..FOREVER };
        log.trim(&retention, Timestamp::from_millis(0), 3000);
        assert_eq!(log.begin(), 2990);
        let tiny = Retention { bytes_per_partition: 1, ..FOREVER };
        log.trim(&tiny, Timestamp::from_millis(0), 3000);
        assert_eq!(texts(&log, 0, 3000), ["2999"]);
    }

    #[test]
    fn what_is_not_durable_yet_is_never_dropped() {
        let mut log = log_of(0, 10);
        let retention = Retention { time: Duration::ZERO, ..FOREVER };
        log.trim(&retention, Timestamp::from_millis(1_000_000), 7);
        assert_eq!(log.begin(), 7);
    }

    #[test]
    fn events_taken_back_leave_the_log_as_it_was() {
        let mut log = log_of(0, 1030);
        let (bytes, offset) = (log.bytes(), log.next_offset());
        for i in 0..10 {
            push(&mut log, 99_999 + i);
        }
        log.truncate(1030);
        assert_eq!((log.next(), log.bytes(), log.next_offset()), (1030, bytes, offset));
        assert_eq!(log.enqueue_time(Timestamp::from_millis(0)), 10_290);
        log.truncate(0);
        assert_eq!((log.next(), log.bytes(), log.next_offset()), (0, 0, 0));
        push(&mut log, 5);
        assert_eq!(texts(&log, 0, 9), ["0"]);
    }

    #[test]
    fn enqueued_time_never_goes_backwards() {
        let mut log = Log::new();
        push(&mut log, 1000);
        assert_eq!(log.enqueue_time(Timestamp::from_millis(10)), 1000);
        assert_eq!(log.enqueue_time(Timestamp::from_millis(2000)), 2000);
    }

    #[test]
    fn an_emptied_log_goes_on_where_it_was() {
        let mut log = log_of(0, 1500);
        let offset = log.next_offset();
        log.clear();
        assert_eq!((log.begin(), log.next(), log.bytes()), (1500, 1500, 0));
        push(&mut log, 1);
        assert_eq!(texts(&log, 0, 9999), ["1500"]);
        assert_eq!(log.entry(1500).map(|e| e.offset), Some(offset));
    }
}
