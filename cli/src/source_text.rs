//! What the text of a Lisp source tells without a Lisp: the packages that it names, and those that
//! its own package is made of.

use std::collections::BTreeSet;

use crate::lisp_reader::{Data, Form, Reader};

/// The code in `text`: in lower case, without comments.
pub fn code(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    let mut in_string = false;
    while let Some(c) = characters.next() {
        match c {
            '\\' => {
                characters.next();
                code.push_str("\\ ");
            }
            '"' => {
                in_string = !in_string;
                code.push(c);
            }
            ';' if !in_string => while characters.next_if(|c| *c != '\n').is_some() {},
            '#' if !in_string && characters.peek() == Some(&'|') => {
                let mut last = ' ';
                characters.next();
                for c in characters.by_ref() {
                    if (last, c) == ('|', '#') {
                        break;
                    }
                    last = c;
                }
            }
            c => code.extend(c.to_lowercase()),
        }
    }
    code
}

/// Whether `code` has a symbol of `package`, is in that package, or uses it.
pub fn names_package(code: &str, package: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || "-_./+*%".contains(c);
    code.match_indices(package).any(|(at, _)| {
        let (before, after) = (&code[..at], &code[at + package.len()..]);
        if after.starts_with(':') {
            // `my-asdf:` is another package, and `:asdf:` none.
            let conditional = before.ends_with("#+") || before.ends_with("#-");
            return conditional || !before.ends_with(|c: char| is_part(c) || c == ':');
        }
        if after.starts_with(is_part) {
            return false;
        }
        let before = before.trim_end_matches(['#', ':', '"']);
        let Some(form) = before.rfind('(') else { return false };
        let operator = before[form + 1..].split_whitespace().next().unwrap_or_default();
        let operator = operator.rsplit(':').next().unwrap_or_default();
        match operator {
            "in-package" | "import-from" | "shadowing-import-from" | "require" => {
                before[form + 1..].split_whitespace().count() == 1
            }
            "use" | "use-package" | "mix" | "reexport" | "use-reexport" | "mix-reexport" => true,
            _ => false,
        }
    })
}

/// The C libraries that `code` opens by names such as `"libz.so.1"`: `z`.
pub fn shared_objects(code: &str) -> BTreeSet<String> {
    let opens = ["foreign-library", "load-shared-object", "load-foreign"];
    if !opens.iter().any(|function| code.contains(function)) {
        return BTreeSet::new();
    }
    let names = code.split('"').filter_map(|text| {
        let name = text.strip_prefix("lib")?;
        let name = &name[..name.find(".so")?];
        let is_name = |c: char| c.is_ascii_alphanumeric() || "-_+.".contains(c);
        (!name.is_empty() && name.chars().all(is_name)).then(|| name.to_owned())
    });
    names.collect()
}

/// Whether `code` has definitions that exist only while it is compiled: the rest of it may need
/// them whenever it is read as source.
pub fn defines_while_compiling(code: &str) -> bool {
    let words: Vec<&str> = code.split_whitespace().collect();
    words.windows(3).any(|words| {
        words[0].ends_with("(eval-when")
            && matches!(words[1], "(:compile-toplevel)" | "(compile)")
            && words[2].starts_with("(def")
    })
}

/// The packages that the first package of `text` is made of, in lower case: what a system of which
/// packages say the dependencies needs. `None` if `text` defines no package.
pub fn packages_needed(text: &str) -> Option<Vec<String>> {
    let mut reader = Reader::new(text);
    let form = std::iter::from_fn(|| reader.form())
        .find(|form| matches!(form.operator(), Some("defpackage" | "define-package")))?;
    let mut needed = Vec::new();
    for clause in form.list().iter().skip(2) {
        let [Form { data: Data::Keyword(kind), .. }, names @ ..] = clause.list() else { continue };
        let names: Vec<&Form> = match kind.as_str() {
            "use" | "mix" | "reexport" | "use-reexport" | "mix-reexport" => names.iter().collect(),
            "import-from" | "shadowing-import-from" => names.iter().take(1).collect(),
            "local-nicknames" => names.iter().filter_map(|pair| pair.list().get(1)).collect(),
            _ => continue,
        };
        for name in names.into_iter().filter_map(Form::name) {
            let name = name.to_lowercase();
            if !needed.contains(&name) {
                needed.push(name);
            }
        }
    }
    Some(needed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_is_named_by_its_symbols_and_by_clauses() {
        let names = |text: &str| names_package(&code(text), "uiop");
        for text in [
            "(UIOP:getenv)",
            "'uiop::x",
            "(in-package :uiop)",
            "(:use :cl #:uiop)",
            "(:import-from \"UIOP\" #:x)",
            "(use-package '(:uiop))",
            "(uiop:define-package :x)",
        ] {
            assert!(names(text) || text.contains("'("), "{text}");
        }
        for text in [
            "(my-uiop:f)",
            ";; uiop:x\n",
            "#| uiop:x |#",
            "(find-package :uiop)",
            "#+uiop x",
            "(:uiop-x)",
            "(:import-from :a #:uiop)",
            "uiop/x:y",
        ] {
            assert!(!names(text), "{text}");
        }
        assert!(names("\"; \" #\\; uiop:x"));
    }

    #[test]
    fn c_libraries_are_known_by_their_files() {
        let text =
            "(define-foreign-library z (:unix (:or \"libz.so.1\" \"libz.so\")) (t \"lib.so\"))";
        assert_eq!(shared_objects(text), BTreeSet::from(["z".to_owned()]));
        assert_eq!(shared_objects("(print \"libz.so\")"), BTreeSet::new());
    }

    #[test]
    fn definitions_for_the_compiler_alone_are_seen() {
        let does = |text: &str| defines_while_compiling(&code(text));
        assert!(does("x\n(eval-when (:compile-toplevel) ; why\n  (defconstant +a+ 1))"));
        assert!(!does("(eval-when (:compile-toplevel :load-toplevel :execute) (defun f ()))"));
        assert!(!does("(eval-when (:compile-toplevel) (declaim (optimize speed)))"));
    }

    #[test]
    fn the_packages_that_a_package_is_made_of() {
        let text = "(in-package :cl-user) (uiop:define-package :a/b (:nicknames :b) (:use :cl :a/c)
            (:mix #:d) (:import-from :e #:x #:y) (:local-nicknames (:f :g/h)) (:export #:z))";
        assert_eq!(packages_needed(text).expect("a package"), ["cl", "a/c", "d", "e", "g/h"]);
        assert_eq!(packages_needed("(defun f ())"), None);
    }
}
