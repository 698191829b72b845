//! Filters of names: `small,-slow`.

/// Names to accept and to refuse, such as `small,-slow`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NameFilter {
    /// One of these must be there, unless there are none.
    pub required: Vec<String>,
    /// None of these may be there.
    pub excluded: Vec<String>,
}

impl NameFilter {
    /// Of the words of an option.
    pub fn new(words: &[String]) -> NameFilter {
        let mut filter = NameFilter::default();
        for word in words.iter().filter(|word| !word.is_empty()) {
            match word.strip_prefix('-') {
                Some(name) => filter.excluded.push(name.to_owned()),
                None => {
                    let name = word.strip_prefix('+').unwrap_or(word);
                    filter.required.push(name.to_owned());
                }
            }
        }
        filter
    }

    /// Whether something with these names is accepted.
    pub fn accepts<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> bool {
        let mut found = self.required.is_empty();
        for name in names {
            if self.excluded.iter().any(|excluded| excluded == name) {
                return false;
            }
            found = found || self.required.iter().any(|required| required == name);
        }
        found
    }

    /// Which of `all` names are accepted; none when there is no filter.
    pub fn accepted(&self, all: &[&str]) -> Vec<String> {
        if self.accepts_all() {
            return vec![];
        }
        let accepted = all.iter().filter(|name| self.accepts([**name]));
        accepted.map(|name| name.to_string()).collect()
    }

    /// True when everything is accepted.
    pub fn accepts_all(&self) -> bool {
        self.required.is_empty() && self.excluded.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_wants_one_of_its_names_and_none_of_those_with_a_minus() {
        let filter = NameFilter::new(&words("a,b,-c"));
        assert!(filter.accepts(["a", "x"]) && filter.accepts(["b"]));
        assert!(!filter.accepts(["a", "c"]) && !filter.accepts(["x"]) && !filter.accepts([]));
        let only_minus = NameFilter::new(&words("-c"));
        assert!(only_minus.accepts([]) && !only_minus.accepts(["c"]));
    }

    fn words(text: &str) -> Vec<String> {
        text.split(',').map(String::from).collect()
    }
}
