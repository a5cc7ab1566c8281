//! Lists in pages (distribution-spec, "Listing Tags").

use std::borrow::Cow;

use axum::http::{HeaderValue, header};
use axum::response::Response;

use super::error::ApiError;
use super::query::{Query, percent_encode};

/// The longest page, and the length of one that nobody asked for.
const MOST: usize = 1_000;

/// The page that a request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Page<'a> {
    /// How many entries; more are there if one more is found.
    pub(super) size: usize,
    /// The entry before the first, which need not exist.
    pub(super) last: Option<Cow<'a, str>>,
}

impl<'a> Page<'a> {
    /// Of `n` and `last`.
    pub(super) fn of(query: Query<'a>) -> Result<Self, ApiError> {
        let size = match query.first("n") {
            None => MOST,
            // A number beyond any list is the longest page, however long it is.
            Some(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => {
                text.parse().map_or(MOST, |size: usize| size.min(MOST))
            }
            Some(text) => return Err(ApiError::Page { n: text.chars().take(20).collect() }),
        };
        Ok(Self { size, last: query.first("last") })
    }

    /// How many entries to look for: one more than there will be, to know whether there are more.
    pub(super) fn look_for(&self) -> usize {
        self.size + 1
    }

    /// Cuts what was found to the page. When there is more, says in `response` where it goes on.
    pub(super) fn link(&self, path: &str, last: &str, response: &mut Response) {
        let link = format!("<{path}?n={}&last={}>; rel=\"next\"", self.size, percent_encode(last));
        response.headers_mut().insert(header::LINK, HeaderValue::from_str(&link).expect("the values are encoded"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_at_most_a_thousand_and_a_number() {
        let page = |query| Page::of(Query::of(Some(query))).map(|page| (page.size, page.last.map(Cow::into_owned)));
        assert_eq!(page("").unwrap(), (1_000, None));
        assert_eq!(page("n=0").unwrap(), (0, None));
        assert_eq!(page("n=7&last=a%2Fb").unwrap(), (7, Some("a/b".into())));
        for many in ["n=1001", "n=18446744073709551616"] {
            assert_eq!(page(many).unwrap().0, 1_000, "{many}");
        }
        for bad in ["n=-1", "n=x", "n=1.5", "n=+1"] {
            assert!(matches!(page(bad), Err(ApiError::Page { .. })), "{bad}");
        }
    }
}
