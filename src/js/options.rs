//! Options, which are plain objects.
//!
//! Read property by property, by hand: the TypeScript in front has checked names and types, so that what a deserialiser
//! would add (a visitor, a table of names and texts of errors for each kind of object) would only be weight for a page.

use js_sys::Reflect;
use wasm_bindgen::JsValue;

/// An object with options, or undefined.
pub(super) struct Options(pub(super) JsValue);

impl Options {
    /// What stands under `name`, unless it is undefined or null.
    pub(super) fn value(&self, name: &str) -> Option<JsValue> {
        // Of undefined nothing can be asked: then there are no options.
        let value = Reflect::get(&self.0, &name.into()).ok()?;
        (!value.is_undefined() && !value.is_null()).then_some(value)
    }

    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.value(name)?.as_string()
    }

    pub(super) fn number(&self, name: &str) -> Option<f64> {
        self.value(name)?.as_f64()
    }

    pub(super) fn is_set(&self, name: &str) -> bool {
        self.value(name).is_some_and(|value| value.is_truthy())
    }

    /// Options within these.
    pub(super) fn inner(&self, name: &str) -> Option<Options> {
        self.value(name).map(Options)
    }
}
