//! What files look like after formatting, kind by kind.

use insta::assert_snapshot;
use proptest::prelude::*;

use crate::{FileKind, FormatError, Tables, format, meaning, parser};

fn formatted(text: &str, kind: FileKind) -> String {
    format(text, kind, &Tables::standard(), "pkg").unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn wrong(text: &str) -> String {
    match format(text, FileKind::Bzl, &Tables::standard(), "") {
        Err(FormatError::Syntax(error)) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn declarations_all_look_the_same() {
    let text = r#"load(":b.bzl","z",'a')
load("@x//:y.bzl", "q")
# About x.
genrule(cmd="touch $@",outs=['b','a'],name='x', # why
 srcs=["//p:p",":q"]+select({"//c:d":[ "b", 'a' ],}))
foo(x) ; bar()
"#;
    assert_snapshot!(formatted(text, FileKind::Build), @r#"
    load("@x//:y.bzl", "q")
    load(":b.bzl", "a", "z")

    # About x.
    genrule(
        name = "x",  # why
        srcs = [
            "//p",
            ":q",
        ] + select({"//c:d": [
            "b",
            "a",
        ]}),
        outs = [
            "b",
            "a",
        ],
        cmd = "touch $@",
    )

    foo(x)

    bar()
    "#);
}

#[test]
fn code_keeps_its_lines() {
    let text = "def f(a,b = 1,*args,\n  c):\n  '''Doc.\n\n  More.   \n  '''\n  if not a in b: return [x for x in a\n    if x]\n  else:\n    # why\n    pass\n# after\ny = {1:2,\n'a':not -3} # z\n";
    assert_snapshot!(formatted(text, FileKind::Bzl), @r#"
    def f(
            a,
            b = 1,
            *args,
            c):
        """Doc.

        More.
        """
        if not a in b:
            return [
                x
                for x in a
                if x
            ]
        else:
            # why
            pass

    # after
    y = {
        1: 2,
        "a": not (-3),
    }  # z
    "#);
}

#[test]
fn no_comment_is_lost() {
    let text = "load(':a.bzl', 'x') # one\n# two\nload(':a.bzl', 'y' # three\n)\ng(deps = ['a', 'a', # four\n'b' # five\n# six\n], x = ( # seven\n1))\n";
    let result = formatted(text, FileKind::Build);
    for word in ["one", "two", "three", "four", "five", "six", "seven"] {
        assert!(result.contains(&format!("# {word}")), "{result}");
    }
}

#[test]
fn sources_of_lisp_keep_their_order() {
    let rule =
        |kind: &str, file: &str| format!("{kind}(name = 'x', srcs = ['b{file}', 'a{file}'])\n");
    let first = |text: &str| formatted(text, FileKind::Build).contains("\"b");
    let order = |kind: &str, file: &str| {
        let text = formatted(&rule(kind, file), FileKind::Build);
        text.find("\"a") > text.find("\"b")
    };
    assert!(first(&rule("any", "")));
    assert!(order("lisp_library", "") && order("my_library", ".lisp"));
    assert!(!order("my_library", ".txt") && !order("cc_library", ""));
}

#[test]
fn loads_name_what_is_an_argument_elsewhere() {
    assert_eq!(formatted("f(load='x')\n", FileKind::Bzl), "f(load = \"x\")\n");
    assert_eq!(formatted("a.load ('x')\n", FileKind::Bzl), "a.load(\"x\")\n");
}

#[test]
fn what_is_wrong_has_its_place() {
    assert_eq!(wrong("x = [1,\n\n"), "1:5: this `[` is not closed");
    assert_eq!(wrong("x = 'a\n"), "1:5: this string does not end on its line: a quote is missing");
    assert_eq!(wrong("x = 1 1\n"), "1:7: the end of the line is expected here, not `1`");
    assert_eq!(wrong("def f():\nx\n"), "2:1: an indented line is expected here, not `x`");
    assert_eq!(wrong("if x:\n    y\n  z\n"), "3:3: this line is indented as no line above it");
    assert_eq!(
        wrong("x = 'a' 'b'\n"),
        "1:9: `+`, which joins strings, is expected here, not `'b'`"
    );
    assert_eq!(wrong("x = 1 ? 2\n"), "1:7: `?` is no part of the language");
    assert_eq!(wrong("f(a b)\n"), "1:5: `,` or `)` is expected here, not `b`");
    assert_eq!(wrong("x = \"\\x4\"\n"), "1:5: `\\x4` is no escape");
}

#[test]
fn chains_and_nests_have_an_end() {
    let deep = |text: String| {
        let thread = std::thread::Builder::new().stack_size(crate::STACK_SIZE);
        let run = move || format(&text, FileKind::Build, &Tables::standard(), "").is_ok();
        thread.spawn(run).expect("a thread").join().expect("no overflow")
    };
    let sum = |count: usize| format!("x = {}1\n", "1 + ".repeat(count));
    assert!(deep(sum(900)) && !deep(sum(100_000)));
    let list = |count: usize| format!("x = {}{}\n", "[".repeat(count), "]".repeat(count));
    assert!(deep(list(300)) && !deep(list(100_000)));
    assert!(!deep(format!("x = {}\n", "not ".repeat(100_000))));
    assert!(!deep(format!("x = a{}\n", ".b".repeat(100_000))));
    let nested: String = (0..100_000).map(|n| format!("{}if x:\n", " ".repeat(n % 2000))).collect();
    assert!(!deep(nested));
}

/// Expressions, some of them over several lines and with comments.
fn expression() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        "[a-c]{1,3}",
        Just("1".to_owned()),
        Just("'q'".to_owned()),
        Just("\"//a:a\"".to_owned()),
        Just("0644".to_owned()),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let gap = prop_oneof![Just(" "), Just("\n"), Just("  # c\n"), Just("\n\n# d\n")];
        let items = proptest::collection::vec((inner.clone(), gap), 0..4);
        let list = |items: Vec<(String, &str)>| -> String {
            items.into_iter().map(|(item, gap)| format!("{item},{gap}")).collect()
        };
        prop_oneof![
            items.clone().prop_map(move |items| format!("[{}]", list(items))),
            items.clone().prop_map(move |items| format!("f({})", list(items))),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} +\n {b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("(not {a} if {b} else ~{a})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{{{a}: {b}}}")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("[{a} for x in {b} if x]")),
            inner.clone().prop_map(|a| format!("g(deps = [{a}, {a}], name = {a})")),
            (inner.clone(), inner).prop_map(|(a, b)| format!("(lambda x: {a})({b})[1:]")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn what_is_formatted_stays_and_says_the_same(
        statements in proptest::collection::vec((expression(), 0..4), 1..4),
    ) {
        let lines = statements.iter().map(|(text, kind)| match kind {
            0 => format!("# above\nx = {text}\n"),
            1 => format!("{text}  # behind\n\n"),
            2 => format!("def f(a, b):\n    return {text}\n# below\n"),
            _ => format!("if {text}:\n  pass\nelse: y = {text}\n"),
        });
        let text: String = lines.collect();
        for kind in [FileKind::Build, FileKind::Bzl] {
            let once = format(&text, kind, &Tables::standard(), "pkg")
                .unwrap_or_else(|error| panic!("{error}\n{text}"));
            prop_assert_eq!(&formatted(&once, kind), &once);
            let comments = |text: &str| meaning::comments(&mut parser::parse(text).expect("Starlark"));
            prop_assert_eq!(comments(&text), comments(&once));
        }
        // Nothing but lines and blanks is changed in code without labels to sort.
        let once = formatted(&text, FileKind::Default);
        prop_assert_eq!(formatted(&once, FileKind::Default), once);
    }
}
