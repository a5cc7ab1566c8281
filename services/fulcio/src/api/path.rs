//! Doubled slashes. sigstore-go appends `/api/v2/…` to its base URL as it is, so that a base URL with a final slash makes `//api`.

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use http::{Request, Uri};
use tower::ServiceExt as _;

/// `routes`, which also answer paths with doubled slashes as if they were single.
pub(crate) fn collapsing_slashes(routes: Router) -> Router {
    Router::new().fallback(move |request: Request<Body>| {
        let routes = routes.clone();
        async move { answer(routes, request).await }
    })
}

async fn answer(routes: Router, mut request: Request<Body>) -> Response {
    if let Some(uri) = collapsed(request.uri()) {
        *request.uri_mut() = uri;
    }
    match routes.oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

/// `None` when there is nothing to collapse. The query stays as it is.
pub(super) fn collapsed(uri: &Uri) -> Option<Uri> {
    if !uri.path().contains("//") {
        return None;
    }
    let mut path = String::with_capacity(uri.path().len());
    for c in uri.path().chars().filter(|c| c.is_ascii()) {
        if c != '/' || !path.ends_with('/') {
            path.push(c);
        }
    }
    if let Some(query) = uri.query() {
        path.push('?');
        path.push_str(query);
    }
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(path.parse().ok()?);
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slashes_collapse_in_the_path_only() {
        let collapse = |uri: &str| collapsed(&uri.parse().unwrap()).map(|uri| uri.to_string());
        assert_eq!(collapse("http://h//api///v2/x?y=//z").as_deref(), Some("http://h/api/v2/x?y=//z"));
        assert_eq!(collapse("//api/").as_deref(), Some("/api/"));
        assert_eq!(collapse("/api/v2/x?y=//"), None);
    }
}
