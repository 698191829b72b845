//! Paths as text: relative to the execution root or to a tree, with `/` between their segments.

/// The directory that holds `path`; empty for the root.
pub fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

/// The path that `text` names as seen from `dir`, without `.` and `..`; `None` if it leads out.
pub fn normal(dir: &str, text: &str) -> Option<String> {
    let mut segments: Vec<&str> = dir.split('/').filter(|segment| !segment.is_empty()).collect();
    for segment in text.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop()?;
            }
            segment => segments.push(segment),
        }
    }
    Some(segments.join("/"))
}

/// True of a relative path that is one of its directory and cannot lead out of it.
pub fn is_plain(path: &str) -> bool {
    !path.contains('\0') && path.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

/// True if `path` is `directory` or below it.
pub fn is_below(path: &str, directory: &str) -> bool {
    directory.is_empty()
        || path.strip_prefix(directory).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_leads_out_has_no_normal_form() {
        for (dir, text, expected) in [
            ("a/b", "c", Some("a/b/c")),
            ("a/b", "./../c//d/", Some("a/c/d")),
            ("a", "../..", None),
            ("", "..", None),
            ("a", "..", Some("")),
        ] {
            assert_eq!(normal(dir, text).as_deref(), expected, "{text} in {dir}");
        }
    }

    #[test]
    fn a_directory_does_not_hold_what_only_begins_like_it() {
        assert!(is_below("a/b", "a") && is_below("a", "a") && is_below("a", ""));
        assert!(!is_below("ab", "a") && !is_below("a", "a/b"));
        assert!(is_plain("a/..b") && !is_plain("a/../b") && !is_plain("/a") && !is_plain(""));
    }
}
