//! What a request asks for, as its upstream is asked for it.

use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderValue, Uri};

use super::refusal::Refusal;
use super::rewrite::Rewrite;

/// The request's target in origin form, without what its route takes off, behind the upstream's own path.
pub(super) fn target(uri: Uri, rewrite: &Rewrite, base_path: &str) -> Result<Uri, Refusal> {
    let own = uri.path_and_query().map_or("/", PathAndQuery::as_str);
    let stripped = rewrite.strip_prefix.as_ref().and_then(|prefix| prefix.strip(own));
    if base_path.is_empty() && stripped.is_none() {
        if uri.authority().is_none() {
            return Ok(uri);
        }
        // HTTP/2 names the rest elsewhere.
        if own.starts_with('/') || own == "*" {
            return Ok(uri.into_parts().path_and_query.map_or_else(Uri::default, Uri::from));
        }
    }
    let own = stripped.unwrap_or(own);
    let target = match own {
        "*" => own.to_owned(),
        // An absolute form may have a query and no path, and so may what is left of a path.
        own if own.is_empty() || own.starts_with('?') => format!("{base_path}/{own}"),
        own => format!("{base_path}{own}"),
    };
    // Two valid paths make a valid path, or one that is too long.
    Uri::try_from(target).map_err(|_| Refusal::Malformed("The request's target is too long."))
}

/// `uri` with the scheme and authority that HTTP/2 names in fields of their own.
pub(super) fn absolute(uri: Uri, host: &HeaderValue) -> Result<Uri, Refusal> {
    let mut parts = uri.into_parts();
    (parts.scheme, parts.authority) = (Some(Scheme::HTTP), Some(authority(host)?));
    Uri::from_parts(parts).map_err(|_| NO_AUTHORITY)
}

/// `host` as the authority of a URL.
pub(super) fn authority(host: &HeaderValue) -> Result<Authority, Refusal> {
    match Authority::try_from(host.as_bytes()) {
        Ok(authority) if !authority.as_str().contains('@') => Ok(authority),
        _ => Err(NO_AUTHORITY),
    }
}

const NO_AUTHORITY: Refusal = Refusal::Malformed("The Host is not one that HTTP/2 could name.");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_asked_for_in_origin_form_however_it_came() {
        for (asked, base_path, expected) in [
            ("/a?b", "", "/a?b"),
            ("http://h/a?b", "", "/a?b"),
            ("http://h", "", "/"),
            ("http://h?b", "", "/?b"),
            ("*", "", "*"),
            ("http://h/a", "/x", "/x/a"),
            ("http://h", "/x", "/x/"),
            ("/a", "/x", "/x/a"),
        ] {
            let target = target(asked.parse().unwrap(), &Rewrite::default(), base_path).unwrap();
            assert_eq!(target, expected, "{asked} {base_path}");
            assert_eq!(target.authority(), None, "{asked} {base_path}");
        }
    }
}
