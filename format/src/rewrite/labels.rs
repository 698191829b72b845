//! Labels: written in one string, and without what goes without saying.

use crate::rewrite::{LEAVE_ALONE, callee, calls, composed, named};
use crate::syntax::{File, Node, Syntax, Text};
use crate::tables::Tables;

/// Shortens the labels in arguments that hold some.
pub fn shorten(file: &mut File, tables: &Tables, package: &str) {
    let package = tables.shorten_absolute_labels_to_relative.then(|| format!("//{package}"));
    let package = package.as_deref();
    calls(file, &mut |call| {
        let rule = callee(call);
        for argument in &mut call.arguments.items {
            if argument.comments.say(LEAVE_ALONE) {
                continue;
            }
            let Some((name, value)) = named(argument) else { continue };
            if !tables.has_labels(&rule, &name) || value.comments.say(LEAVE_ALONE) {
                continue;
            }
            composed(value, &mut |node| match &mut node.syntax {
                Syntax::List(list) => {
                    let items = list.items.iter_mut();
                    for item in items.filter(|item| !item.comments.say(LEAVE_ALONE)) {
                        rewrite(item, package);
                    }
                }
                _ => rewrite(node, package),
            });
        }
    });
}

fn rewrite(node: &mut Node, package: Option<&str>) {
    join(node);
    let Syntax::Text(text) = &mut node.syntax else { return };
    let Ok(label) = str::from_utf8(&text.value) else { return };
    let own = package.map(|package| relative(label, package));
    let short = own.flatten().unwrap_or_else(|| label.to_owned());
    let short = shortened(&short).unwrap_or(short);
    if short != label {
        text.value = short.into_bytes();
        text.token = String::new();
    }
}

/// `"//a" + ":b"`, often written over two lines, is `"//a:b"`.
fn join(node: &mut Node) {
    let plain = |text: &Text| !text.value.contains(&b' ');
    let Syntax::Binary { left, operator: "+", right, .. } = &mut node.syntax else { return };
    let (Syntax::Text(first), Syntax::Text(second)) = (&mut left.syntax, &right.syntax) else {
        return;
    };
    if !first.value.starts_with(b"//") || !plain(first) || !plain(second) {
        return;
    }
    first.value.extend(&second.value);
    first.token = String::new();
    let syntax = Syntax::Text(first.clone());
    node.comments.absorb(std::mem::take(&mut left.comments));
    node.comments.absorb(std::mem::take(&mut right.comments));
    node.syntax = syntax;
}

/// A label of `package` without it.
fn relative(label: &str, package: &str) -> Option<String> {
    let rest = label.strip_prefix(package)?;
    if rest.is_empty() {
        let name = package.rsplit('/').next().unwrap_or_default();
        return Some(format!(":{name}"));
    }
    rest.starts_with(':').then(|| rest.to_owned())
}

/// `//a/b:b` is `//a/b`, and `@a//:a` is `@a`.
fn shortened(label: &str) -> Option<String> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let (repository, path) = match label.strip_prefix('@') {
        Some(rest) => {
            rest.split_once("//").filter(|(name, _)| !name.is_empty() && name.chars().all(word))?
        }
        None => ("", label.strip_prefix("//")?),
    };
    // What follows the last `/` is the last part of the package and the name; a slash in the
    // name leaves nothing to be left out.
    let (directory, last) = match path.rfind('/') {
        Some(index) if index > 0 => path.split_at(index + 1),
        _ => ("", path),
    };
    let (part, name) = last.split_once(':')?;
    if name.is_empty() || name.contains(':') || directory.contains('\n') {
        return None;
    }
    if part == name {
        return label.strip_suffix(name)?.strip_suffix(':').map(str::to_owned);
    }
    (part.is_empty() && name == repository).then(|| format!("@{repository}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_without_saying_is_not_said() {
        for (long, short) in [
            ("//a/b:b", Some("//a/b")),
            ("//a:a", Some("//a")),
            ("@r//a:a", Some("@r//a")),
            ("@r//:r", Some("@r")),
            ("//a/b:c", None),
            ("//a:b/a", None),
            ("//:a", None),
            (":a", None),
            ("@r//:s", None),
            ("@@r//:r", None),
            ("a:a", None),
        ] {
            assert_eq!(shortened(long).as_deref(), short, "{long}");
        }
    }

    #[test]
    fn labels_of_the_own_package_can_be_relative() {
        assert_eq!(relative("//a/b:c", "//a/b").as_deref(), Some(":c"));
        assert_eq!(relative("//a/b", "//a/b").as_deref(), Some(":b"));
        assert_eq!(relative("//a/bc", "//a/b"), None);
    }
}
