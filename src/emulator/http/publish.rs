//! Publishing over HTTP, as the service's REST interface has it.

pub(super) mod events;

use bytes::Bytes;
use futures::future::OptionFuture;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_HEADERS, AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, SERVER,
};
use hyper::{Request, Response, StatusCode};
use tokio::sync::oneshot;
use tokio::time::sleep_until;

use self::events::{Group, Malformed};
use super::super::server::Shared;
use super::answer::{self, Refusal};
use super::read_body;
use crate::amqp::AmqpError;
use crate::broker::{PublishDone, Rights, Route};
use crate::dialect::conditions as condition;

/// What a publication is sent to.
struct Target {
    hub: String,
    /// Where the path says that it goes; otherwise it is the events' keys that say it.
    route: Option<Route>,
}

/// Allows a page to publish. The service itself does not, so that pages could not be tried out.
pub(super) fn preflight(headers: &HeaderMap) -> Response<Full<Bytes>> {
    const PRIVATE_NETWORK: HeaderName = HeaderName::from_static("access-control-allow-private-network");
    let usual = HeaderValue::from_static("authorization, content-type, brokerproperties");
    let asked = headers.get(ACCESS_CONTROL_REQUEST_HEADERS).cloned();
    let mut answer = answer::with_type(StatusCode::OK, "text/plain; charset=utf-8", Bytes::new());
    let fields = answer.headers_mut();
    fields.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("POST, GET, PUT, DELETE"));
    // Every other header becomes a property of the event, so any is welcome.
    fields.insert(ACCESS_CONTROL_ALLOW_HEADERS, asked.unwrap_or(usual));
    fields.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    fields.insert(PRIVATE_NETWORK, HeaderValue::from_static("true"));
    answer
}

/// Publishes the events of a `POST …/messages`.
pub(super) async fn publish(
    request: Request<Incoming>,
    path: &str,
    shared: &Shared,
) -> Response<Full<Bytes>> {
    match try_publish(request, path, shared).await {
        Ok(()) => {
            let mut answer =
                answer::with_type(StatusCode::CREATED, "application/xml; charset=utf-8", Bytes::new());
            answer.headers_mut().insert(SERVER, HeaderValue::from_static("Microsoft-HTTPAPI/2.0"));
            answer
        }
        Err(refusal) => refusal.answer(),
    }
}

async fn try_publish(request: Request<Incoming>, path: &str, shared: &Shared) -> Result<(), Refusal> {
    let (head, body) = request.into_parts();
    let path = path.trim_matches('/');
    let target = Target::parse(path).ok_or_else(|| {
        Refusal::new(StatusCode::NOT_FOUND, format!("Nothing can be published to /{path}."))
    })?;
    authorize(&head.headers, path, Rights::SEND, shared)?;
    if shared.namespace.hub(&target.hub).is_none() {
        let hub = &target.hub;
        let detail = format!("The messaging entity 'sb://localhost/{hub}' could not be found.");
        return Err(Refusal::new(StatusCode::NOT_FOUND, detail));
    }
    let body = read_body(body, shared.max_message_size, shared).await?;
    let groups = events::parse(&head.headers, body)
        .map_err(|Malformed(why)| Refusal::new(StatusCode::BAD_REQUEST, why))?;
    for Group { partition_key, events } in groups {
        let route = target.route.clone().unwrap_or(Route::Any { partition_key });
        let (said, hears) = oneshot::channel();
        let done = PublishDone::new(move |outcome| drop(said.send(outcome)));
        shared.namespace.publish(&target.hub, route, events, shared.clock.now(), done);
        match heard(hears, shared).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return Err(refusal(&error)),
            Err(_) => {
                return Err(Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "The namespace gave no answer."));
            }
        }
    }
    Ok(())
}

/// What the namespace says, for which somebody may have to look at the clock when the disk is slow on purpose.
async fn heard<T>(hears: oneshot::Receiver<T>, shared: &Shared) -> Result<T, oneshot::error::RecvError> {
    let mut hears = hears;
    loop {
        let errand = shared.namespace.next_errand();
        let due = errand.map(|at| sleep_until(shared.clock.instant(at)));
        tokio::select! {
            said = &mut hears => return said,
            Some(()) = OptionFuture::from(due) => shared.namespace.look(shared.clock.now()),
        }
    }
}

impl Target {
    /// `<hub>/messages`, `<hub>/partitions/<n>/messages` or `<hub>/publishers/<name>/messages`.
    fn parse(path: &str) -> Option<Target> {
        let (hub, route) = match *path.split('/').collect::<Vec<_>>().as_slice() {
            [hub, _messages] => (hub, None),
            // A partition that does not exist is refused by the namespace, with the service's words.
            [hub, kind, number, _messages] if kind.eq_ignore_ascii_case("partitions") => {
                (hub, Some(Route::Partition(number.parse().unwrap_or(u32::MAX))))
            }
            [hub, kind, name, _messages] if kind.eq_ignore_ascii_case("publishers") => {
                (hub, Some(Route::Publisher(name.to_owned())))
            }
            _ => return None,
        };
        Some(Target { hub: hub.to_owned(), route })
    }
}

/// Verifies the `Authorization` of a request for what `path` names.
pub(super) fn authorize(
    headers: &HeaderMap,
    path: &str,
    right: Rights,
    shared: &Shared,
) -> Result<(), Refusal> {
    let Some(token) = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()) else {
        let detail = "MissingToken: The authorization header was not found.";
        return Err(Refusal::new(StatusCode::UNAUTHORIZED, detail));
    };
    let token = token.strip_prefix("Bearer ").unwrap_or(token);
    shared.namespace.authorize(token, path, right, shared.clock.now()).map_err(|error| refusal(&error))
}

/// An error of the namespace as HTTP says it.
pub(super) fn refusal(error: &AmqpError) -> Refusal {
    let status = match error.condition.as_str() {
        condition::NOT_FOUND => StatusCode::NOT_FOUND,
        condition::RESOURCE_DELETED => StatusCode::GONE,
        condition::UNAUTHORIZED_ACCESS | condition::AUTH_FAILED => StatusCode::UNAUTHORIZED,
        condition::LINK_MESSAGE_SIZE_EXCEEDED => StatusCode::PAYLOAD_TOO_LARGE,
        condition::RESOURCE_LIMIT_EXCEEDED => StatusCode::FORBIDDEN,
        condition::SERVER_BUSY => StatusCode::SERVICE_UNAVAILABLE,
        condition::INTERNAL_ERROR | condition::TIMEOUT => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::BAD_REQUEST,
    };
    Refusal::new(status, error.description.as_deref().unwrap_or(error.condition.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_says_where_events_go() {
        let table = [
            ("orders/messages", None),
            ("orders/partitions/3/messages", Some(Route::Partition(3))),
            ("orders/Partitions/0/messages", Some(Route::Partition(0))),
            ("orders/partitions/x/messages", Some(Route::Partition(u32::MAX))),
            ("orders/publishers/me/messages", Some(Route::Publisher("me".to_owned()))),
        ];
        for (path, expected) in table {
            let target = Target::parse(path).unwrap();
            assert_eq!((target.hub.as_str(), target.route), ("orders", expected), "{path}");
        }
        for path in ["messages", "orders/of/messages", "orders/consumergroups/x/messages"] {
            assert!(Target::parse(path).is_none(), "{path}");
        }
    }
}
