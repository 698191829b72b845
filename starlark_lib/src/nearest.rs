//! Nearest names: what a user may have meant.

use rbz_engine::diagnostic::Diagnostic;

/// The one of `names` that is closest to `name`, if one is close.
pub fn nearest<'a>(name: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let far = name.chars().count().clamp(3, 12) / 3 + 1;
    names
        .into_iter()
        .map(|other| (strsim::damerau_levenshtein(name, other), other))
        .filter(|(distance, other)| *distance <= far && *distance < other.chars().count())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, other)| other)
}

/// The diagnostic with the hint "did you mean", if one of `names` is close to `name`.
pub fn hinted<'a>(
    diagnostic: Diagnostic,
    name: &str,
    names: impl IntoIterator<Item = &'a str>,
) -> Diagnostic {
    match nearest(name, names) {
        Some(other) => diagnostic.hint(format!("did you mean `{other}`?")),
        None => diagnostic,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typing_error_is_near_and_another_word_is_not() {
        let names = ["srcs", "deps", "compile_data", "order"];
        assert_eq!(nearest("src", names), Some("srcs"));
        assert_eq!(nearest("dpes", names), Some("deps"));
        assert_eq!(nearest("compiledata", names), Some("compile_data"));
        assert_eq!(nearest("visibility", names), None);
        assert_eq!(nearest("x", names), None);
    }
}
