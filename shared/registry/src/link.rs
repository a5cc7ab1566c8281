//! `Link: <…>; rel="next"` (RFC 8288), as paged lists carry it.

use reqwest::Url;
use reqwest::header::{HeaderMap, LINK};

/// The next page of `page`, if there is one in the same place: a list does not continue on another host.
pub(crate) fn next(page: &Url, headers: &HeaderMap) -> Option<Url> {
    let texts = headers.get_all(LINK).into_iter().filter_map(|value| value.to_str().ok());
    let target = texts.flat_map(|text| text.split(',')).find_map(target_of_next)?;
    page.join(target).ok().filter(|next| next.origin() == page.origin())
}

fn target_of_next(link: &str) -> Option<&str> {
    let (target, parameters) = link.trim().strip_prefix('<')?.split_once('>')?;
    let is_next = |parameter: &str| {
        let (key, value) = parameter.split_once('=').unwrap_or_default();
        key.trim().eq_ignore_ascii_case("rel") && value.trim().trim_matches('"').eq_ignore_ascii_case("next")
    };
    parameters.split(';').any(is_next).then_some(target)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn next_of(link: &str) -> Option<String> {
        let page = Url::parse("https://r.example/v2/a/tags/list?n=2").unwrap();
        let headers = HeaderMap::from_iter([(LINK, link.parse().ok()?)]);
        next(&page, &headers).map(Into::into)
    }

    #[test]
    fn relative_and_absolute() {
        let expected = Some("https://r.example/v2/a/tags/list?n=2&last=b".to_owned());
        assert_eq!(next_of("</v2/a/tags/list?n=2&last=b>; rel=\"next\""), expected);
        assert_eq!(next_of("<https://r.example/v2/a/tags/list?n=2&last=b>;rel=next"), expected);
        assert_eq!(next_of("<x>; rel=prev, </v2/a/tags/list?n=2&last=b>; title=\"t\"; rel=NEXT"), expected);
    }

    #[test]
    fn what_is_no_next_page() {
        for link in
            ["", "</x>", "</x>; rel=prev", "/x; rel=next", "<https://e.example/x>; rel=next", "<http://r.example/x>; rel=next"]
        {
            assert_eq!(next_of(link), None, "{link}");
        }
    }

    proptest! {
        #[test]
        fn no_text_breaks_it(text in "[<>a-z;=\"/:, ]{0,40}") {
            let _ = next_of(&text);
        }
    }
}
