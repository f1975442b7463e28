//! What arrives, and by which requests.

use std::fs;
use std::time::Duration;

use crate::repository::{git_blob, hex_sha256};
use crate::server::{COMMIT, HubServer, What};
use crate::{TRAIN, VALIDATION, served, train};

fn lines_of(server: &HubServer) -> Vec<String> {
    server.seen().into_iter().map(|request| request.line).collect()
}

#[test]
fn files_arrive_in_the_layout_that_python_shares() {
    let (server, mut client) = served();
    client.token = Some("hf_secret".to_string());
    let plan = client.fetch(&[]).unwrap();
    assert_eq!(plan.folder, client.repository().join("snapshots").join(COMMIT));
    assert_eq!(fs::read(plan.folder.join(TRAIN)).unwrap(), train());
    assert_eq!(fs::read(plan.folder.join("card.json")).unwrap(), b"{\"a\": 1}");
    let names = [TRAIN, VALIDATION, "card.json"].map(|name| format!("{COMMIT}/{name}"));
    assert_eq!(client.files("snapshots"), names);
    let mut blobs = [hex_sha256(&train()), hex_sha256(b"validation"), git_blob(b"{\"a\": 1}")];
    blobs.sort();
    assert_eq!(client.files("blobs"), blobs);
    let link = fs::read_link(plan.folder.join(TRAIN)).unwrap();
    assert_eq!(link.to_str().unwrap(), format!("../../../blobs/{}", hex_sha256(&train())));
    assert_eq!(fs::read_to_string(client.repository().join("refs/main")).unwrap(), COMMIT);

    let (to_store, to_hub): (Vec<_>, Vec<_>) =
        server.seen().into_iter().partition(|request| request.line.contains("/store/"));
    assert_eq!(to_store.len(), 2, "large files come from the store, once each");
    assert!(to_store.iter().all(|request| request.authorization.is_none()), "the token is the hub's only");
    assert!(to_hub.iter().all(|request| request.authorization.as_deref() == Some("Bearer hf_secret")));
    assert!(!client.text().contains("secret"), "{}", client.text());
}

#[test]
fn the_plan_states_files_sizes_and_licences_and_writes_nothing() {
    let (server, client) = served();
    let plan = client.plan(&["a"]).unwrap();
    let expected = "notes: data set owner/notes at 0123456789ab\n  \
        licence: Note Licence 2 (on the hub: mit)\n  \
        card.json                             8 B  to download\n  \
        a/train-00000-of-00001.parquet    1.20 MB  to download\n  \
        2 files, 1.20 MB; 2 to download, 1.20 MB";
    assert_eq!(plan.to_string(), expected);
    assert_eq!(lines_of(&server), ["GET /api/datasets/owner/notes/revision/main"]);
    assert!(!client.repository().exists());
}

#[test]
fn a_second_run_asks_for_the_listing_only() {
    let (server, client) = served();
    client.fetch(&["a"]).unwrap();
    server.seen();
    let plan = client.fetch(&["a"]).unwrap();
    assert!(plan.to_string().ends_with("2 files, 1.20 MB; nothing to download"), "{plan}");
    assert_eq!(lines_of(&server), ["GET /api/datasets/owner/notes/revision/main"]);
    client.fetch(&["b"]).unwrap();
    let more = lines_of(&server);
    assert!(more.iter().any(|line| line == &format!("GET /store/0/{VALIDATION}")), "{more:?}");
    assert!(!more.iter().any(|line| line.contains(TRAIN)), "{more:?}");
}

#[test]
fn a_new_commit_of_the_same_content_is_linked_without_a_download() {
    let (server, client) = served();
    client.fetch(&[]).unwrap();
    server.seen();
    let next = "f".repeat(40);
    server.commit(&next);
    let plan = client.fetch(&[]).unwrap();
    assert_eq!(fs::read(plan.folder.join(TRAIN)).unwrap(), train());
    assert_eq!(fs::read_to_string(client.repository().join("refs/main")).unwrap(), next);
    let requests = lines_of(&server);
    assert!(requests.iter().skip(1).all(|line| line.starts_with("HEAD ")), "{requests:?}");
}

#[test]
fn a_dropped_connection_goes_on_where_it_ended() {
    let (server, client) = served();
    server.fault("GET /store", 1, What::CutAfter(700_000));
    server.fault("GET /store", 1, What::CutAfter(100_000));
    let plan = client.fetch(&["a"]).unwrap();
    assert_eq!(fs::read(plan.folder.join(TRAIN)).unwrap(), train());
    let ranges: Vec<_> =
        server.seen().into_iter().filter(|request| request.line.contains("GET /store")).collect();
    let ranges: Vec<_> = ranges.iter().map(|request| request.range.as_deref().unwrap_or("none")).collect();
    assert_eq!(ranges, ["none", "bytes=700000-", "bytes=800000-"]);
    assert!(client.text().contains("at 700000 of 1200000 bytes; going on"), "{}", client.text());
}

#[test]
fn a_run_that_gave_up_is_gone_on_with_by_the_next() {
    let (server, client) = served();
    server.fault("GET /store", 1, What::CutAfter(500_000));
    server.fault("GET /store", 3, What::CutAfter(0));
    let error = client.error(&["a"]).to_string();
    assert!(error.contains("dropped at 500000 of 1200000 bytes"), "{error}");
    let whole = [format!("{COMMIT}/card.json")];
    assert_eq!(client.files("snapshots"), whole, "no part of a file is in a snapshot");
    assert_eq!(client.files("refs"), [""; 0], "a snapshot that is not whole is not the current one");
    server.seen();
    let plan = client.fetch(&["a"]).unwrap();
    assert_eq!(fs::read(plan.folder.join(TRAIN)).unwrap(), train());
    let store = server.seen().into_iter().find(|request| request.line.contains("GET /store")).unwrap();
    assert_eq!(store.range.as_deref(), Some("bytes=500000-"));
    assert!(client.text().contains(&format!("{TRAIN}: 1.20 MB, going on at 500.00 kB")), "{}", client.text());
    assert!(!client.files("blobs").iter().any(|name| name.ends_with(".incomplete")));
}

#[test]
fn a_server_without_ranges_sends_the_file_again() {
    let (server, client) = served();
    server.fault("GET /store", 1, What::CutAfter(500_000));
    server.fault("GET /store", 1, What::NoRanges);
    let plan = client.fetch(&["a"]).unwrap();
    assert_eq!(fs::read(plan.folder.join(TRAIN)).unwrap(), train());
}

#[test]
fn a_damaged_or_too_long_rest_of_an_earlier_run_is_thrown_away() {
    for rest in [vec![7; 1_000], vec![7; 2_000_000], vec![7; 1_200_000]] {
        let (_server, client) = served();
        let blobs = client.repository().join("blobs");
        fs::create_dir_all(&blobs).unwrap();
        fs::write(blobs.join(format!("{}.incomplete", hex_sha256(&train()))), rest).unwrap();
        let plan = client.fetch(&["a"]).unwrap();
        assert_eq!(fs::read(plan.folder.join(TRAIN)).unwrap(), train());
    }
}

#[test]
fn a_file_of_another_size_in_the_cache_is_fetched_again() {
    let (_server, client) = served();
    let plan = client.fetch(&["a"]).unwrap();
    let blob = fs::canonicalize(plan.folder.join(TRAIN)).unwrap();
    fs::write(&blob, "torn").unwrap();
    assert!(client.plan(&["a"]).unwrap().to_string().contains("1 to download"));
    client.fetch(&["a"]).unwrap();
    assert_eq!(fs::read(plan.folder.join(TRAIN)).unwrap(), train());
    fs::remove_file(&blob).unwrap();
    client.fetch(&["a"]).unwrap();
    assert_eq!(fs::read(plan.folder.join(TRAIN)).unwrap(), train(), "a link to nothing is replaced");
}

#[test]
fn two_runs_at_once_download_a_file_once() {
    let (server, client) = served();
    server.fault("GET /store", 1, What::Slow(Duration::from_millis(400)));
    let plans = std::thread::scope(|scope| {
        let runs: Vec<_> = (0..4).map(|_| scope.spawn(|| client.fetch(&["a"]))).collect();
        runs.into_iter().map(|run| run.join().unwrap().unwrap()).collect::<Vec<_>>()
    });
    for plan in &plans {
        assert_eq!(fs::read(plan.folder.join(TRAIN)).unwrap(), train());
    }
    let downloads = server.seen().iter().filter(|request| request.line.contains("GET /store")).count();
    assert_eq!(downloads, 1);
    assert!(client.text().contains("another process fetches it; waiting"), "{}", client.text());
}
