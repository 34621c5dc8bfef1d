//! Values of AMQP and of JavaScript.

use bytes::Bytes;
use js_sys::{Array, ArrayBuffer, BigInt, Date, Number, Object, Uint8Array};
use wasm_bindgen::{JsCast, JsValue};

use super::error::{invalid, set};
use crate::error::Error;
use crate::model::value::{Timestamp, Value};

/// How deep lists and maps may lie within each other.
const DEEPEST: u32 = 16;

/// The AMQP value of a JavaScript value. A whole number is an `int` or a `long`, any other a `double`; a `bigint` is a
/// `long`, or a `ulong` where it has to be.
///
/// # Errors
/// When AMQP has no such value.
pub(super) fn to_amqp(value: &JsValue) -> Result<Value, Error> {
    nested(value, DEEPEST)
}

fn nested(value: &JsValue, depth: u32) -> Result<Value, Error> {
    if value.is_null() || value.is_undefined() {
        return Ok(Value::Null);
    }
    if let Some(text) = value.as_string() {
        return Ok(Value::String(text));
    }
    if let Some(is_true) = value.as_bool() {
        return Ok(Value::Bool(is_true));
    }
    if let Some(number) = value.as_f64() {
        return Ok(from_number(number));
    }
    if value.is_bigint() {
        return from_bigint(value);
    }
    if let Some(date) = value.dyn_ref::<Date>() {
        let millis = date.get_time();
        return match millis.is_nan() {
            true => Err(invalid("an invalid Date cannot be sent")),
            false => Ok(Value::Timestamp(Timestamp::from_millis(millis as i64))),
        };
    }
    if let Some(bytes) = bytes(value) {
        return Ok(Value::Binary(bytes));
    }
    if depth == 0 {
        return Err(invalid(format!("lists and objects lie in each other more than {DEEPEST} deep")));
    }
    if let Some(list) = value.dyn_ref::<Array>() {
        return Ok(Value::List(list.iter().map(|item| nested(&item, depth - 1)).collect::<Result<_, _>>()?));
    }
    if value.is_object() && !value.is_function() {
        let pairs = entries(value.unchecked_ref());
        let pairs = pairs.map(|(name, value)| Ok((Value::String(name), nested(&value, depth - 1)?)));
        return Ok(Value::Map(pairs.collect::<Result<_, Error>>()?));
    }
    Err(invalid(format!("a {} cannot be sent", value.js_typeof().as_string().unwrap_or_default())))
}

/// An object's own entries.
pub(super) fn entries(object: &Object) -> impl Iterator<Item = (String, JsValue)> + use<> {
    Object::entries(object).to_vec().into_iter().map(|entry| {
        let entry: Array = entry.unchecked_into();
        (entry.get(0).as_string().unwrap_or_default(), entry.get(1))
    })
}

fn from_number(number: f64) -> Value {
    /// From here on a number stands for its neighbours too.
    const SAFE: f64 = 9_007_199_254_740_992.0;
    if number.fract() != 0.0 || number.abs() >= SAFE || (number == 0.0 && number.is_sign_negative()) {
        return Value::Double(number);
    }
    let whole = number as i64;
    i32::try_from(whole).map_or(Value::Long(whole), Value::Int)
}

fn from_bigint(value: &JsValue) -> Result<Value, Error> {
    let value = value.clone();
    if let Ok(long) = i64::try_from(value.clone()) {
        return Ok(Value::Long(long));
    }
    u64::try_from(value)
        .map(Value::Ulong)
        .map_err(|_| invalid("a bigint of more than 64 bits cannot be sent"))
}

/// The bytes of an `ArrayBuffer` or of a view of one.
pub(super) fn bytes(value: &JsValue) -> Option<Bytes> {
    if let Some(array) = value.dyn_ref::<Uint8Array>() {
        return Some(array.to_vec().into());
    }
    value.dyn_ref::<ArrayBuffer>().map(|buffer| Uint8Array::new(buffer).to_vec().into())
}

/// The JavaScript value of an AMQP value. Whole numbers that a number cannot hold are bigints.
pub(super) fn to_js(value: &Value) -> JsValue {
    match value {
        Value::Null => JsValue::NULL,
        Value::Bool(is_true) => (*is_true).into(),
        Value::Ubyte(number) => (*number).into(),
        Value::Ushort(number) => (*number).into(),
        Value::Uint(number) => (*number).into(),
        Value::Byte(number) => (*number).into(),
        Value::Short(number) => (*number).into(),
        Value::Int(number) => (*number).into(),
        Value::Float(number) => f64::from(*number).into(),
        Value::Double(number) => (*number).into(),
        Value::Ulong(number) => match i64::try_from(*number) {
            Ok(number) => whole(number),
            Err(_) => BigInt::from(*number).into(),
        },
        Value::Long(number) => whole(*number),
        Value::Decimal32(bytes) => binary(bytes),
        Value::Decimal64(bytes) => binary(bytes),
        Value::Decimal128(bytes) => binary(bytes),
        Value::Char(char) => char.to_string().into(),
        Value::Timestamp(time) => date(*time),
        Value::Uuid(uuid) => uuid.to_string().into(),
        Value::Binary(bytes) => binary(bytes),
        Value::String(text) => text.as_str().into(),
        Value::Symbol(symbol) => symbol.as_str().into(),
        Value::List(items) | Value::Array(items) => items.iter().map(to_js).collect::<Array>().into(),
        Value::Map(entries) => map(entries),
        Value::Described(described) => {
            let object = Object::new();
            set(&object, "descriptor", to_js(&described.descriptor));
            set(&object, "value", to_js(&described.value));
            object.into()
        }
    }
}

/// An object where every key is a text, else a `Map`.
fn map(entries: &[(Value, Value)]) -> JsValue {
    if entries.iter().all(|(key, _)| key.as_str().is_some()) {
        let entries = entries.iter().filter_map(|(key, value)| Some((key.as_str()?, value)));
        return object(entries);
    }
    let map = js_sys::Map::new();
    for (key, value) in entries {
        map.set(&to_js(key), &to_js(value));
    }
    map.into()
}

/// An object with these properties, also where one is called `__proto__`.
pub(super) fn object<'a>(entries: impl Iterator<Item = (&'a str, &'a Value)>) -> JsValue {
    let pairs: Array = entries.map(|(name, value)| Array::of2(&name.into(), &to_js(value))).collect();
    // Fails only for what is not a list of pairs.
    Object::from_entries(&pairs).unwrap_or_else(|_| Object::new()).into()
}

pub(super) fn date(time: Timestamp) -> JsValue {
    Date::new(&(time.as_millis() as f64).into()).into()
}

pub(super) fn binary(bytes: &[u8]) -> JsValue {
    Uint8Array::new_from_slice(bytes).into()
}

fn whole(number: i64) -> JsValue {
    match number.unsigned_abs() <= Number::MAX_SAFE_INTEGER as u64 {
        true => (number as f64).into(),
        false => BigInt::from(number).into(),
    }
}
