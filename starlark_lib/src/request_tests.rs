//! Tests of requests: which targets they mean, and what of the work before is used again.

use crate::analysis_fixture::{Fixture, request, rule, shown, with_options};
use crate::session::{AnalysisRequest, TagFilter, TestFilters};

#[test]
fn suites_stand_for_their_tests() {
    let fixture = rule(
        "ctx.actions.write(ctx.outputs.executable, \"\")",
        "",
        "r_test(name = \"t1\", tags = [\"fast\"])\nr_test(name = \"t2\", size = \"large\")\nr_test(name = \"t3\", tags = [\"manual\"])\nrx(name = \"x\")\ntest_suite(name = \"all_tests\")\ntest_suite(name = \"fast\", tags = [\"fast\"])\ntest_suite(name = \"nested\", tests = [\":fast\", \":t2\"])\n",
    );
    let names = |request: &AnalysisRequest| {
        let analysis = fixture.request(request);
        assert_eq!(analysis.errors, []);
        let names = analysis.plan.requested.iter().map(|target| target.label.name().to_owned());
        names.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(names(&request(&["//a:all_tests"])), "t1 t2");
    assert_eq!(names(&request(&["//a:fast"])), "t1");
    assert_eq!(names(&request(&["//a:nested"])), "t1 t2");
    assert_eq!(names(&request(&["//a:all"])), "t1 t2 x");
    let tests = |filters: TestFilters| AnalysisRequest {
        tests: Some(filters),
        build_tests_only: true,
        ..request(&["//..."])
    };
    assert_eq!(names(&tests(TestFilters::default())), "t1 t2");
    let large = TestFilters { sizes: vec!["large".into()], ..TestFilters::default() };
    assert_eq!(names(&tests(large)), "t2");
    let slow = TestFilters {
        tags: TagFilter { without: vec!["fast".into()], ..TagFilter::default() },
        ..TestFilters::default()
    };
    assert_eq!(names(&tests(slow)), "t2");
}

#[test]
fn with_keep_going_the_rest_is_analysed() {
    let fixture = rule(
        "if ctx.label.name == \"bad\":\n    fail(\"bad\")\no = ctx.actions.declare_file(ctx.label.name)\nctx.actions.write(o, \"\")\nreturn [DefaultInfo(files = depset([o]))]",
        "\"deps\": attr.label_list()",
        "r(name = \"bad\")\nr(name = \"above\", deps = [\":bad\"])\nr(name = \"good\")",
    );
    let analysis = fixture.request(&AnalysisRequest { keep_going: true, ..request(&["//a:all"]) });
    assert_eq!(analysis.errors.len(), 1);
    let names: Vec<&str> =
        analysis.plan.requested.iter().map(|target| target.label.name()).collect();
    assert_eq!(names, ["good"]);
    let analysis = fixture.analyze(&["//a:all"]);
    assert!(analysis.plan.requested.is_empty() && analysis.errors.len() == 1);
}

#[test]
fn what_did_not_change_is_not_evaluated_again() {
    let files = |fixture: &Fixture, text: &str| {
        fixture.write("a/BUILD", &format!("load(\":r.bzl\", \"r\")\n{text}"))
    };
    let fixture = rule(
        "o = ctx.actions.declare_file(ctx.label.name)\nctx.actions.write(o, ctx.var.get(\"D\", \"\") if ctx.label.name == \"y\" else \"\")\nreturn [DefaultInfo(files = depset([o])), P(a = depset([o], transitive = [d[P].a for d in ctx.attr.deps]), b = top)]",
        "\"deps\": attr.label_list()",
        "",
    );
    files(&fixture, "r(name = \"x\")\nr(name = \"y\", deps = [\":x\"])\n");
    let count = |request: &AnalysisRequest| {
        let analysis = fixture.request(request);
        assert_eq!(analysis.errors, []);
        (analysis.evaluated, shown(&analysis))
    };
    let first = count(&request(&["//a:all"]));
    assert_eq!(first.0, 2);
    let second = count(&request(&["//a:y"]));
    assert_eq!(second.0, 0);
    let defined = with_options("//a:y", |o| {
        o.defines.insert("D".into(), "d".into());
    });
    let third = count(&defined);
    assert_eq!(third.0, 1);
    assert!(third.1.contains("\"d\""), "{}", third.1);
    files(&fixture, "r(name = \"x\", tags = [\"t\"])\nr(name = \"y\", deps = [\":x\"])\n");
    // The providers of `x` are what they were, so `y` is not concerned.
    assert_eq!(count(&defined).0, 1);
    assert_eq!(count(&request(&["//a:all"])).1, first.1);
}

#[test]
fn providers_that_hold_providers_are_shared_and_not_too_deep() {
    let fixture =
        rule("return [P(a = [d[P] for d in ctx.attr.deps])]", "\"deps\": attr.label_list()", "");
    // There are 2^60 ways from the last to the first.
    let mut build = "load(\":r.bzl\", \"r\")\nr(name = \"x0\")\nr(name = \"y0\")\n".to_owned();
    for number in 1..=60 {
        let deps = format!("[\":x{0}\", \":y{0}\"]", number - 1);
        for name in ["x", "y"] {
            build.push_str(&format!("r(name = \"{name}{number}\", deps = {deps})\n"));
        }
    }
    fixture.write("a/BUILD", &build);
    assert_eq!(fixture.analyze(&["//a:x60"]).errors, []);
    let again = fixture.analyze(&["//a:x60"]);
    assert_eq!((again.errors.len(), again.evaluated), (0, 0));
    let mut build = "load(\":r.bzl\", \"r\")\nr(name = \"x0\")\n".to_owned();
    for number in 1..600 {
        let dep = number - 1;
        build.push_str(&format!("r(name = \"x{number}\", deps = [\":x{dep}\"])\n"));
    }
    fixture.write("a/BUILD", &build);
    assert_eq!(fixture.analyze(&["//a:x400"]).errors, []);
    insta::assert_snapshot!(fixture.errors(&["//a:x599"]), @r#"
    a/r.bzl:7:13: the provider `P` holds others, one within the other, more than 1000 deep
            return [P(a = [d[P] for d in ctx.attr.deps])]
                    ^
      a/BUILD:502:1: in the target `//a:x500` (a `r`)
    hint: hand on what is in them in a depset: `depset([...], transitive = [...])`
    "#);
}

#[test]
fn fifty_thousand_targets_in_a_row() {
    let mut build = "load(\":r.bzl\", \"r\")\nr(name = \"t0\")\n".to_owned();
    for number in 1..50_000 {
        build.push_str(&format!("r(name = \"t{number}\", deps = [\":t{}\"])\n", number - 1));
    }
    let fixture = rule(
        "return [P(a = depset([ctx.label.name], transitive = [d[P].a for d in ctx.attr.deps]))]",
        "\"deps\": attr.label_list()",
        "",
    );
    fixture.write("a/BUILD", &build);
    let analysis = fixture.analyze(&["//a:t49999"]);
    assert_eq!(analysis.errors, []);
    // The shell's target is one of them.
    assert_eq!(analysis.targets, 50_001);
}
