//! Specifications of packages, as `package_group` and `visibility()` take them: `//pkg`, `//pkg/...`,
//! `-//pkg`, `public`.

use rbz_engine::diagnostic::Diagnostic;
use rbz_engine::label::PackageId;

use crate::evaluation::Evaluation;
use crate::package::{PackagePattern, VisibilityRule};

/// How they are written.
const FORMS: &str = "`//pkg`, `//pkg/...` or `//...`";

impl PackagePattern {
    /// The packages that `text` in a file of the package `from` means.
    pub fn parse(
        text: &str,
        evaluation: &Evaluation,
        from: &PackageId,
    ) -> Result<PackagePattern, Diagnostic> {
        let (exclude, path) = match text.strip_prefix('-') {
            Some(path) => (true, path),
            None => (false, text),
        };
        if path == "public" {
            return Ok(PackagePattern { exclude, rule: VisibilityRule::Public });
        }
        let wrong =
            |reason: &str| Diagnostic::user(format!("`{text}` names no packages: {reason}"));
        if !path.starts_with("//") && !path.starts_with('@') {
            return Err(wrong("it must start with `//` or `@`").hint(FORMS));
        }
        if path.contains(':') {
            return Err(wrong("it is a label of a target").hint(FORMS));
        }
        let (path, below) = match path.strip_suffix("...") {
            Some(path) => (path, true),
            None => (path, false),
        };
        // The slashes of the repository's root stay.
        let path = match path.strip_suffix('/') {
            Some(shorter) if below && !shorter.ends_with('/') => shorter,
            None if below => return Err(wrong("`...` must be a whole segment").hint(FORMS)),
            _ => path,
        };
        // A label in the package says which repository and directory are meant.
        let label = evaluation
            .session
            .parse_label(&format!("{path}:x"), from)
            .map_err(|error| wrong(&error.reason))?;
        let package = label.package().clone();
        let rule = match below {
            true => VisibilityRule::Subpackages(package),
            false => VisibilityRule::Package(package),
        };
        Ok(PackagePattern { exclude, rule })
    }
}
