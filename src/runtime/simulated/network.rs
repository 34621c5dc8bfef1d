//! A network that the seed decides about: what is sent arrives late, in other pieces, or never.
//!
//! A connection has two ends and a lane in each direction. A lane delivers in order, as TCP does, and holds a bounded
//! amount for an end that does not read. Breaking one leaves a random part of what was under way to be delivered.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::ops::Range;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::random::Random;
use super::world::{Due, State, Timer, now, with};

/// Which connection of a world, counted from its beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConnectionNumber(pub u64);

/// How the network behaves towards everybody.
#[derive(Clone, Debug)]
pub struct Conditions {
    /// How long a byte is under way.
    pub latency: Range<Duration>,
    /// Bytes a second in each direction of each connection; 0: without bound.
    pub bandwidth: u64,
    /// Bytes that one direction of a connection holds for an end that does not read.
    pub window: usize,
    /// Into what pieces that which is sent is cut.
    pub split: Split,
    /// In how many of 100 cases all that has arrived is handed over in one piece.
    pub joined: u64,
    /// How many of 100 connections are refused.
    pub refused: u64,
    /// How many of 100 connections are never made, and nobody says so.
    pub hanging: u64,
}

/// Into what pieces that which is sent is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// It stays whole.
    Whole,
    /// In a few places.
    Some,
    /// In many.
    Many,
}

/// How long a system sends the same bytes again and again before it gives up: about what Linux does.
const PATIENCE: Duration = Duration::from_secs(900);

/// What an end of a connection learns about its being cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Nothing, ever.
    Never,
    /// That the peer has finished, after so long.
    End(Duration),
    /// That the connection was reset, after so long.
    Reset(Duration),
}

/// All connections, and who waits for some.
pub(super) struct Network {
    conditions: Conditions,
    random: Random,
    connections: VecDeque<Option<Connection>>,
    /// The number of the first of these.
    first: u64,
    listeners: Vec<Door>,
    last_listener: u64,
}

/// One end of a connection.
#[derive(Debug)]
pub(crate) struct End {
    connection: ConnectionNumber,
    side: usize,
}

/// Where connections arrive.
#[derive(Debug)]
pub(crate) struct Listener(u64);

struct Door {
    number: u64,
    host: String,
    arrived: VecDeque<End>,
    waker: Option<Waker>,
}

struct Connection {
    sides: [Side; 2],
    /// What the end with the same number sends.
    lanes: [Lane; 2],
}

#[derive(Default)]
struct Side {
    is_gone: bool,
    is_broken: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

#[derive(Default)]
struct Lane {
    pieces: VecDeque<(u64, Bytes)>,
    /// Bytes sent and not read.
    held: usize,
    /// When the last piece arrives.
    last: u64,
    /// When the reader learns that nothing follows.
    end: Option<u64>,
    /// When the reader is told next.
    armed: Option<u64>,
    is_finished: bool,
    swallows: bool,
    /// Something was sent that is never acknowledged, and the sender's system will give up one day.
    is_despairing: bool,
}

impl Default for Conditions {
    /// A good network: half a millisecond, and no bound that matters.
    fn default() -> Self {
        Conditions {
            latency: Duration::from_micros(400)..Duration::from_micros(600),
            bandwidth: 0,
            window: 256 * 1024,
            split: Split::Whole,
            joined: 0,
            refused: 0,
            hanging: 0,
        }
    }
}

/// From now on the network behaves like this.
pub fn set_conditions(conditions: Conditions) {
    with(|state| state.network.conditions = conditions);
}

/// The connections that there are, oldest first.
pub fn connections() -> Vec<ConnectionNumber> {
    with(|state| {
        let network = &state.network;
        let all = (network.first..).zip(&network.connections);
        all.filter(|(_, connection)| connection.is_some())
            .map(|(number, _)| ConnectionNumber(number))
            .collect()
    })
    .unwrap_or_default()
}

/// Cuts a connection. Of what is under way a random part still arrives. `notices`: what the dialling end learns,
/// and the other.
pub fn cut(connection: ConnectionNumber, notices: [Notice; 2]) {
    with(|state| state.cut(connection, notices));
}

/// Swallows what is sent from now on, from the dialling end and from the other; nobody is told.
pub fn blackhole(connection: ConnectionNumber, swallows: [bool; 2]) {
    with(|state| {
        state.note("swallows", connection.0, u64::from(swallows[0]) * 2 + u64::from(swallows[1]), || "");
        let number = connection;
        let Some(connection) = state.network.get(connection) else { return };
        for (lane, swallows) in connection.lanes.iter_mut().zip(swallows) {
            lane.swallows |= swallows;
        }
        state.despair(number);
    });
}

/// Nothing arrives for a while; then all of it does.
pub fn stall(connection: ConnectionNumber, pause: Duration) {
    with(|state| {
        state.note("stalls", connection.0, pause.as_millis() as u64, || "ms");
        let until = state.now + nanos(pause);
        let Some(connection) = state.network.get(connection) else { return };
        for lane in &mut connection.lanes {
            lane.last = lane.last.max(until);
        }
    });
}

/// Connects to whoever listens at `host`; the port makes no difference.
pub(crate) async fn dial(host: String, _port: u16) -> Result<End, String> {
    let (pause, refused, hanging) = with(|state| {
        let network = &mut state.network;
        let (refused, hanging) = (network.conditions.refused, network.conditions.hanging);
        let (refused, hanging) = (network.random.chance(refused), network.random.chance(hanging));
        (network.latency() + network.latency(), refused, hanging)
    })
    .unwrap_or_default();
    if hanging {
        std::future::pending::<()>().await;
    }
    sleep(Duration::from_nanos(pause)).await;
    let refusal = || "nothing listens there (connection refused)".to_owned();
    if refused {
        return Err(refusal());
    }
    let (end, waker) = with(|state| state.connect(&host)).flatten().ok_or_else(refusal)?;
    waker.into_iter().for_each(Waker::wake);
    Ok(end)
}

/// Waits.
pub(crate) async fn sleep(pause: Duration) {
    let Some(deadline) = now().map(|now| now + pause) else { return };
    let mut timer = Timer::default();
    poll_fn(|cx| timer.poll_until(deadline, cx)).await;
}

impl Listener {
    /// Listens at `host`.
    pub(crate) fn new(host: impl Into<String>) -> Self {
        let number = with(|state| {
            let network = &mut state.network;
            network.last_listener += 1;
            let number = network.last_listener;
            network.listeners.push(Door { number, host: host.into(), arrived: VecDeque::new(), waker: None });
            number
        });
        Listener(number.unwrap_or_default())
    }

    /// The next connection.
    pub(crate) fn poll_accept(&mut self, cx: &Context<'_>) -> Poll<(ConnectionNumber, End)> {
        let end = with(|state| {
            let door = state.network.listeners.iter_mut().find(|door| door.number == self.0)?;
            door.waker = Some(cx.waker().clone());
            door.arrived.pop_front()
        });
        match end.flatten() {
            Some(end) => Poll::Ready((end.connection, end)),
            None => Poll::Pending,
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let door = with(|state| {
            let listeners = &mut state.network.listeners;
            let place = listeners.iter().position(|door| door.number == self.0)?;
            Some(listeners.swap_remove(place))
        });
        // Connections that nobody took are closed, outside of the world's borrow.
        drop(door);
    }
}

impl End {
    /// The next piece that arrived, `None` when the peer has finished.
    pub(crate) fn poll_recv(&mut self, cx: &Context<'_>) -> Poll<io::Result<Option<Bytes>>> {
        let (read, waker) =
            with(|state| state.receive(self, cx)).unwrap_or((Poll::Ready(Err(reset())), None));
        waker.into_iter().for_each(Waker::wake);
        read
    }

    /// Whether there is room for another chunk.
    pub(crate) fn poll_ready(&mut self, cx: &Context<'_>) -> Poll<io::Result<()>> {
        with(|state| {
            let window = state.network.conditions.window;
            let connection = state.network.get(self.connection).ok_or_else(reset)?;
            let (side, lane) = (&mut connection.sides[self.side], &connection.lanes[self.side]);
            if side.is_broken {
                return Poll::Ready(Err(reset()));
            }
            if lane.held < window {
                return Poll::Ready(Ok(()));
            }
            side.writer = Some(cx.waker().clone());
            Poll::Pending
        })
        .unwrap_or(Poll::Ready(Err(reset())))
    }

    /// Sends a chunk.
    pub(crate) fn start_send(&mut self, chunk: Bytes) -> io::Result<()> {
        with(|state| state.send(self, chunk)).unwrap_or(Err(reset()))
    }

    /// What is sent is under way.
    pub(crate) fn poll_flush(&mut self, _cx: &Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Says that nothing follows.
    pub(crate) fn poll_close(&mut self, _cx: &Context<'_>) -> Poll<io::Result<()>> {
        with(|state| state.finish(self));
        Poll::Ready(Ok(()))
    }
}

impl Drop for End {
    fn drop(&mut self) {
        let wakers = with(|state| {
            state.finish(self);
            state.leave(self)
        });
        wakers.into_iter().flatten().for_each(Waker::wake);
    }
}

impl Network {
    pub(super) fn new(random: Random) -> Self {
        Network {
            conditions: Conditions::default(),
            random,
            connections: VecDeque::new(),
            first: 1,
            listeners: Vec::new(),
            last_listener: 0,
        }
    }

    /// Ends of connections that have not been dropped.
    pub(super) fn sockets(&self) -> usize {
        let sides = self.connections.iter().flatten().flat_map(|connection| &connection.sides);
        sides.filter(|side| !side.is_gone).count()
    }

    pub(super) fn arrives(&mut self, number: ConnectionNumber, side: usize) -> Option<Waker> {
        let connection = self.get(number)?;
        connection.lanes[1 - side].armed = None;
        connection.sides[side].reader.take()
    }

    pub(super) fn breaks(&mut self, number: ConnectionNumber, side: usize) -> Vec<Waker> {
        let Some(connection) = self.get(number) else { return Vec::new() };
        let side = &mut connection.sides[side];
        side.is_broken = true;
        side.reader.take().into_iter().chain(side.writer.take()).collect()
    }

    fn get(&mut self, number: ConnectionNumber) -> Option<&mut Connection> {
        let index = number.0.checked_sub(self.first)?;
        self.connections.get_mut(index as usize)?.as_mut()
    }

    fn latency(&mut self) -> u64 {
        let Range { start, end } = &self.conditions.latency;
        self.random.between(nanos(*start), nanos(*end).max(nanos(*start)))
    }

    /// Where a chunk is cut.
    fn pieces(&mut self, mut chunk: Bytes) -> Vec<Bytes> {
        let most = match self.conditions.split {
            Split::Whole => 0,
            Split::Some => self.random.below(3),
            Split::Many => self.random.below(10),
        };
        let mut pieces = Vec::with_capacity(most as usize + 1);
        for _ in 0..most {
            if chunk.len() < 2 {
                break;
            }
            // Half of the cuts are near the front, where the heads of frames are.
            let reach = if self.random.chance(50) { chunk.len().min(24) } else { chunk.len() } as u64;
            let at = 1 + self.random.below(reach - 1) as usize;
            pieces.push(chunk.split_to(at));
        }
        pieces.push(chunk);
        pieces
    }
}

impl State {
    fn connect(&mut self, host: &str) -> Option<(End, Option<Waker>)> {
        let network = &mut self.network;
        let door = network.listeners.iter_mut().find(|door| door.host == host)?;
        network
            .connections
            .push_back(Some(Connection { sides: Default::default(), lanes: Default::default() }));
        let connection = ConnectionNumber(network.first + network.connections.len() as u64 - 1);
        door.arrived.push_back(End { connection, side: 1 });
        let waker = door.waker.take();
        self.note("connects", connection.0, 0, || host.to_owned());
        Some((End { connection, side: 0 }, waker))
    }

    fn send(&mut self, end: &End, chunk: Bytes) -> io::Result<()> {
        let side = end.side;
        let (length, sum) = (chunk.len(), checksum(&chunk));
        self.mix(sum);
        self.note("sends", end.connection.0, side as u64, || format!("{length} bytes"));
        let now = self.now;
        let network = &mut self.network;
        let (latency, bandwidth) = (network.latency(), network.conditions.bandwidth);
        let pieces = network.pieces(chunk);
        let jitters: Vec<u64> = pieces.iter().skip(1).map(|_| network.latency()).collect();
        let connection = network.get(end.connection).ok_or_else(reset)?;
        if connection.sides[side].is_broken || connection.lanes[side].is_finished {
            return Err(reset());
        }
        let lane = &mut connection.lanes[side];
        if lane.swallows {
            lane.held += length;
            self.despair(end.connection);
            return Ok(());
        }
        if connection.sides[1 - side].is_gone {
            // Nobody is there any more, which the sender is told after a while.
            self.plan(now + 2 * latency, Due::Breaks(end.connection, side));
            return Ok(());
        }
        lane.held += length;
        let latencies = std::iter::once(latency).chain(jitters);
        for (piece, latency) in pieces.into_iter().zip(latencies) {
            let transmission = (piece.len() as u64 * 1_000_000_000).checked_div(bandwidth).unwrap_or(0);
            lane.last = lane.last.max(now + latency) + transmission;
            lane.pieces.push_back((lane.last, piece));
        }
        self.arm(end.connection, 1 - side);
        Ok(())
    }

    fn receive(&mut self, end: &End, cx: &Context<'_>) -> (Poll<io::Result<Option<Bytes>>>, Option<Waker>) {
        let (now, side) = (self.now, end.side);
        let joined = self.network.conditions.joined;
        let joined = joined > 0 && self.network.random.chance(joined);
        let Some(connection) = self.network.get(end.connection) else {
            return (Poll::Ready(Err(reset())), None);
        };
        if connection.sides[side].is_broken {
            return (Poll::Ready(Err(reset())), None);
        }
        let lane = &mut connection.lanes[1 - side];
        let due = lane.pieces.iter().take_while(|(at, _)| *at <= now).count();
        if due > 0 {
            let piece = match joined && due > 1 {
                true => {
                    let mut all = BytesMut::new();
                    lane.pieces.drain(..due).for_each(|(_, piece)| all.extend_from_slice(&piece));
                    all.freeze()
                }
                false => lane.pieces.pop_front().map(|(_, piece)| piece).unwrap_or_default(),
            };
            lane.held = lane.held.saturating_sub(piece.len());
            let waker = connection.sides[1 - side].writer.take();
            let length = piece.len();
            self.note("receives", end.connection.0, side as u64, || format!("{length} bytes"));
            return (Poll::Ready(Ok(Some(piece))), waker);
        }
        if lane.pieces.is_empty() && lane.end.is_some_and(|end| end <= now) {
            return (Poll::Ready(Ok(None)), None);
        }
        connection.sides[side].reader = Some(cx.waker().clone());
        self.arm(end.connection, side);
        (Poll::Pending, None)
    }

    /// Plans that the reader at `side` is told when something arrives.
    fn arm(&mut self, number: ConnectionNumber, side: usize) {
        let Some(connection) = self.network.get(number) else { return };
        let lane = &mut connection.lanes[1 - side];
        let next = lane.pieces.front().map(|(at, _)| *at).or(lane.end);
        if let Some(at) = next
            && lane.armed.is_none_or(|armed| at < armed)
        {
            lane.armed = Some(at);
            self.plan(at, Due::Arrives(number, side));
        }
    }

    fn finish(&mut self, end: &End) {
        let latency = self.network.latency();
        let now = self.now;
        let Some(connection) = self.network.get(end.connection) else { return };
        let lane = &mut connection.lanes[end.side];
        if std::mem::replace(&mut lane.is_finished, true) {
            return;
        }
        if !lane.swallows {
            lane.last = lane.last.max(now + latency);
            lane.end = Some(lane.last);
            self.arm(end.connection, 1 - end.side);
        }
        self.note("finishes", end.connection.0, end.side as u64, || "");
    }

    /// The end is dropped: what arrives for it is forgotten, and with both ends gone the connection is.
    fn leave(&mut self, end: &End) -> Vec<Waker> {
        self.note("leaves", end.connection.0, end.side as u64, || "");
        let Some(connection) = self.network.get(end.connection) else { return Vec::new() };
        connection.sides[end.side] = Side { is_gone: true, ..Side::default() };
        let lane = &mut connection.lanes[1 - end.side];
        lane.pieces.clear();
        if !lane.swallows {
            lane.held = 0;
        }
        let waker = connection.sides[1 - end.side].writer.take();
        if connection.sides[1 - end.side].is_gone {
            let network = &mut self.network;
            let index = (end.connection.0 - network.first) as usize;
            network.connections[index] = None;
            while network.connections.front().is_some_and(Option::is_none) {
                network.connections.pop_front();
                network.first += 1;
            }
        }
        waker.into_iter().collect()
    }

    /// Plans that an end gives up one day whose bytes are never acknowledged.
    fn despair(&mut self, number: ConnectionNumber) {
        let Some(connection) = self.network.get(number) else { return };
        let mut in_vain = Vec::new();
        for (side, lane) in connection.lanes.iter_mut().enumerate() {
            if lane.swallows && lane.held > 0 && !std::mem::replace(&mut lane.is_despairing, true) {
                in_vain.push(side);
            }
        }
        for side in in_vain {
            self.plan(self.now + nanos(PATIENCE), Due::Breaks(number, side));
        }
    }

    fn cut(&mut self, number: ConnectionNumber, notices: [Notice; 2]) {
        self.note("cut", number.0, 0, || format!("{notices:?}"));
        let now = self.now;
        let kept = [self.network.random.next(), self.network.random.next()];
        let Some(connection) = self.network.get(number) else { return };
        for (lane, kept) in connection.lanes.iter_mut().zip(kept) {
            lane.keep_some(now, kept);
            lane.swallows = true;
            lane.end = None;
        }
        self.despair(number);
        for (side, notice) in notices.into_iter().enumerate() {
            match notice {
                Notice::Never => {}
                Notice::Reset(pause) => {
                    self.plan(now + nanos(pause), Due::Breaks(number, side));
                }
                Notice::End(pause) => {
                    let Some(connection) = self.network.get(number) else { return };
                    let lane = &mut connection.lanes[1 - side];
                    lane.end = Some(lane.last.max(now + nanos(pause)));
                    self.arm(number, side);
                }
            }
        }
    }
}

impl Lane {
    /// Forgets a random part of what is under way, from some byte on.
    fn keep_some(&mut self, now: u64, random: u64) {
        let under_way: usize =
            self.pieces.iter().filter(|(at, _)| *at > now).map(|(_, piece)| piece.len()).sum();
        let mut keep = if under_way == 0 { 0 } else { (random % (under_way as u64 + 1)) as usize };
        self.pieces.retain_mut(|(at, piece)| {
            if *at <= now {
                return true;
            }
            piece.truncate(keep);
            keep -= piece.len();
            !piece.is_empty()
        });
        self.last = self.pieces.back().map_or(now, |(at, _)| *at);
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn reset() -> io::Error {
    io::ErrorKind::ConnectionReset.into()
}

/// Enough to tell two runs apart.
fn checksum(bytes: &[u8]) -> u64 {
    let mut sum = bytes.len() as u64;
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        sum = (sum ^ u64::from_le_bytes(*word)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    }
    rest.iter().fold(sum, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3))
}
