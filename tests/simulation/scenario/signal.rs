//! Something that happens once, and can be waited for.

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

#[derive(Clone, Default)]
pub struct Signal(Rc<RefCell<State>>);

#[derive(Default)]
struct State {
    is_given: bool,
    wakers: Vec<Waker>,
}

impl Signal {
    pub fn give(&self) {
        let wakers = {
            let mut state = self.0.borrow_mut();
            state.is_given = true;
            std::mem::take(&mut state.wakers)
        };
        wakers.into_iter().for_each(Waker::wake);
    }

    pub fn is_given(&self) -> bool {
        self.0.borrow().is_given
    }

    pub async fn wait(&self) {
        poll_fn(|cx| {
            let mut state = self.0.borrow_mut();
            if state.is_given {
                return Poll::Ready(());
            }
            if !state.wakers.iter().any(|waker| waker.will_wake(cx.waker())) {
                state.wakers.push(cx.waker().clone());
            }
            Poll::Pending
        })
        .await;
    }
}
