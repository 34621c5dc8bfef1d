//! Many things waited for at once, of which only those are looked at that have something new.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};

use super::shared::lock;

/// Members by number, each with a waker of its own.
pub(crate) struct Crowd {
    line: Arc<Mutex<Line>>,
    wakers: Vec<Waker>,
}

/// Members to look at, each once, in the order in which they were woken.
struct Line {
    members: VecDeque<usize>,
    is_in_line: Vec<bool>,
    /// Who waits for the crowd.
    waker: Option<Waker>,
}

struct Member {
    number: usize,
    line: Arc<Mutex<Line>>,
}

impl Crowd {
    /// `size` members, all to be looked at.
    pub(crate) fn new(size: usize) -> Self {
        let line = Line { members: (0..size).collect(), is_in_line: vec![true; size], waker: None };
        let line = Arc::new(Mutex::new(line));
        let member = |number| Waker::from(Arc::new(Member { number, line: line.clone() }));
        Crowd { wakers: (0..size).map(member).collect(), line }
    }

    /// The next member to look at, with what wakes it. When there is none, `cx` is woken as soon as there is one.
    pub(crate) fn next(&self, cx: &Context<'_>) -> Option<(usize, &Waker)> {
        let mut line = lock(&self.line);
        let Some(number) = line.members.pop_front() else {
            match &mut line.waker {
                Some(waker) => waker.clone_from(cx.waker()),
                empty => *empty = Some(cx.waker().clone()),
            }
            return None;
        };
        line.is_in_line[number] = false;
        Some((number, &self.wakers[number]))
    }

    /// Puts a member back into the line: it has something, and may have more.
    pub(crate) fn again(&self, number: usize) {
        lock(&self.line).enter(number);
    }
}

impl Line {
    fn enter(&mut self, number: usize) {
        if !std::mem::replace(&mut self.is_in_line[number], true) {
            self.members.push_back(number);
        }
    }
}

impl Wake for Member {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let waker = {
            let mut line = lock(&self.line);
            line.enter(self.number);
            line.waker.take()
        };
        waker.into_iter().for_each(Waker::wake);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_is_looked_at_once_however_often_it_is_woken() {
        let crowd = Crowd::new(2);
        let cx = Context::from_waker(Waker::noop());
        let (first, waker) = crowd.next(&cx).unwrap();
        assert_eq!(first, 0);
        assert_eq!(crowd.next(&cx).map(|(number, _)| number), Some(1));
        assert!(crowd.next(&cx).is_none());
        waker.wake_by_ref();
        waker.wake_by_ref();
        crowd.again(0);
        assert_eq!(crowd.next(&cx).map(|(number, _)| number), Some(0));
        assert!(crowd.next(&cx).is_none());
    }

    #[test]
    fn a_member_wakes_who_waits() {
        struct Heard(std::sync::atomic::AtomicBool);
        impl Wake for Heard {
            fn wake(self: Arc<Self>) {
                self.0.store(true, std::sync::atomic::Ordering::SeqCst);
            }
        }
        let heard = Arc::new(Heard(false.into()));
        let crowd = Crowd::new(1);
        let waker = Waker::from(heard.clone());
        let cx = Context::from_waker(&waker);
        let member = crowd.next(&cx).unwrap().1.clone();
        assert!(crowd.next(&cx).is_none());
        member.wake();
        assert!(heard.0.load(std::sync::atomic::Ordering::SeqCst));
    }
}
