//! The same bytes, wherever, whenever and in whatever order.

use rbz_integration_tests::projects::tower;

/// FASLs, cores and programs.
fn products(ws: &rbz_integration_tests::Workspace) -> Vec<(String, Vec<u8>)> {
    let mut products = ws.outputs("");
    products.retain(|(path, _)| !path.contains(".runfiles"));
    assert!(products.iter().any(|(path, _)| path.ends_with(".fasl")), "there are FASLs");
    assert!(products.iter().any(|(path, _)| path.ends_with("app/app")), "there is a program");
    products
}

fn assert_same(a: &[(String, Vec<u8>)], b: &[(String, Vec<u8>)], what: &str) {
    let names = |products: &[(String, Vec<u8>)]| -> Vec<String> {
        products.iter().map(|(path, _)| path.clone()).collect()
    };
    assert_eq!(names(a), names(b), "{what}: the same outputs");
    for ((path, a), (_, b)) in a.iter().zip(b) {
        let differing = a.iter().zip(b).filter(|(a, b)| a != b).count();
        assert!(a == b, "{what}: `{path}` differs in {differing} bytes");
    }
}

#[test]
fn jobs_order_directory_cache_and_time_change_no_byte() {
    let ws = tower().own_cache().build();
    ws.rbz("build //... -j1").run();
    let first = products(&ws);
    for (flags, directory) in
        [("-j2", "two"), ("-j16", "a/much/longer/path/to/it"), ("-j16 --shuffle", "ümläut [*]")]
    {
        let other = ws.clone_to(directory, true);
        let outcome = other.rbz(&format!("build //... {flags}")).env("TZ", "Asia/Tokyo").run();
        assert!(!outcome.ran_of("LispCompile").is_empty(), "another cache: {outcome}");
        assert_same(&first, &products(&other), flags);
    }
}
