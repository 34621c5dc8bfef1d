//! Letting the page breathe.

use std::cell::RefCell;
use std::task::{Context, Waker};

use wasm_bindgen::prelude::{Closure, wasm_bindgen};
use wasm_bindgen::{JsCast, JsValue};
use web_sys::MessageChannel;

#[wasm_bindgen]
extern "C" {
    /// Node, Deno and Bun have it; browsers do not.
    #[wasm_bindgen(catch, js_name = setImmediate)]
    fn set_immediate(callback: &Closure<dyn FnMut()>) -> Result<JsValue, JsValue>;
}

thread_local! {
    static BREATH: RefCell<Option<Breath>> = const { RefCell::new(None) };
}

/// Tasks that wait for the event loop to come round.
struct Breath {
    waiting: Vec<Waker>,
    callback: Closure<dyn FnMut()>,
    channel: Option<MessageChannel>,
}

/// Wakes the task again after timers, input and painting got their turn.
///
/// Waking it at once would not do: promises' jobs run before anything else, so that a task that keeps waking itself
/// freezes the page. A timeout of zero takes 4 ms in a browser; a message to oneself takes a few microseconds.
pub(crate) fn give_way(cx: &Context<'_>) {
    BREATH.with_borrow_mut(|breath| {
        let breath = breath.get_or_insert_with(Breath::new);
        breath.waiting.push(cx.waker().clone());
        if breath.waiting.len() == 1 {
            breath.ask();
        }
    });
}

impl Breath {
    fn new() -> Self {
        let callback = Closure::new(|| {
            let woken = BREATH.with_borrow_mut(|breath| {
                breath.as_mut().map(|breath| std::mem::take(&mut breath.waiting)).unwrap_or_default()
            });
            woken.into_iter().for_each(Waker::wake);
        });
        Breath { waiting: Vec::new(), callback, channel: None }
    }

    fn ask(&mut self) {
        if set_immediate(&self.callback).is_ok() {
            return;
        }
        if self.channel.is_none() {
            let Ok(channel) = MessageChannel::new() else { return };
            channel.port1().set_onmessage(Some(self.callback.as_ref().unchecked_ref()));
            self.channel = Some(channel);
        }
        if let Some(channel) = &self.channel {
            // Fails only for what cannot be cloned; nothing can.
            let _ = channel.port2().post_message(&JsValue::UNDEFINED);
        }
    }
}
