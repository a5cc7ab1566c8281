//! Bodies of uploads, as they arrive.

use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};

use super::metric;

/// How long nothing may come. Without an end to waiting, whoever opens uploads and sends nothing would have all connections.
const PATIENCE: Duration = Duration::from_secs(60);

/// A body did not end.
#[derive(Debug, thiserror::Error)]
pub(super) enum BodyEnd {
    /// Nothing came for a while.
    #[error("no byte came for {} s", PATIENCE.as_secs())]
    Stalled,
    /// The connection broke.
    #[error("the connection broke")]
    Broken(#[source] axum::Error),
}

/// The bytes of `body`.
pub(super) fn arriving(body: Body) -> impl Stream<Item = Result<Bytes, BodyEnd>> + Send + Unpin + 'static {
    within(body, PATIENCE)
}

fn within(body: Body, patience: Duration) -> impl Stream<Item = Result<Bytes, BodyEnd>> + Send + Unpin + 'static {
    let next = move |rest: Option<BodyDataStream>| async move {
        let mut body = rest?;
        match tokio::time::timeout(patience, body.next()).await {
            Ok(None) => None,
            Ok(Some(Ok(bytes))) => {
                metric::received(bytes.len() as u64);
                Some((Ok(bytes), Some(body)))
            }
            Ok(Some(Err(error))) => Some((Err(BodyEnd::Broken(error)), None)),
            Err(_) => Some((Err(BodyEnd::Stalled), None)),
        }
    };
    Box::pin(stream::unfold(Some(body.into_data_stream()), next))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_body_that_stalls_ends_and_says_so() {
        let first = stream::iter([Ok::<_, std::io::Error>("12")]);
        let mut body = within(Body::from_stream(first.chain(stream::pending())), Duration::from_millis(1));
        assert_eq!(body.next().await.unwrap().unwrap(), "12");
        assert!(matches!(body.next().await, Some(Err(BodyEnd::Stalled))));
        assert!(body.next().await.is_none());
    }

    #[tokio::test]
    async fn a_body_that_breaks_is_not_whole() {
        let broken = stream::iter([Ok("12"), Err(std::io::Error::other("reset"))]);
        let mut body = arriving(Body::from_stream(broken));
        assert_eq!(body.next().await.unwrap().unwrap(), "12");
        assert!(matches!(body.next().await, Some(Err(BodyEnd::Broken(_)))));
        assert!(body.next().await.is_none());
    }
}
