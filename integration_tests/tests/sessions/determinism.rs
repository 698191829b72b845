//! The same bytes, wherever, whenever and in whatever order.

use rbz_integration_tests::projects::tower;

#[test]
fn jobs_order_directory_cache_and_time_change_no_byte() {
    let ws = tower().own_cache().build();
    ws.rbz("build //... -j1").run();
    let kinds = [".fasl", "app/app~/app.core", "app/app~/app.o", "app/app"];
    for (flags, directory) in
        [("-j2", "two"), ("-j16", "a/much/longer/path/to/it"), ("-j16 --shuffle", "ümläut [*]")]
    {
        let other = ws.clone_to(directory, true);
        let outcome = other.rbz(&format!("build //... {flags}")).env("TZ", "Asia/Tokyo").run();
        assert!(!outcome.ran_of("LispCompile").is_empty(), "another cache: {outcome}");
        ws.assert_same_outputs(&other, &kinds, flags);
    }
}
