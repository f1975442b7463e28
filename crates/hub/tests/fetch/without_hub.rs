//! Offline, or with a hub that does not answer: the cache, or an error that says what it lacks.

use std::fs;
use std::net::TcpListener;

use hub::HubError;

use crate::{TRAIN, VALIDATION, served, train};

#[test]
fn offline_the_cache_is_used_and_nothing_is_asked() {
    let (server, mut client) = served();
    let online = client.fetch(&["a"]).unwrap();
    server.seen();
    client.offline = true;
    let plan = client.fetch(&["a"]).unwrap();
    assert_eq!(plan.folder, online.folder);
    assert_eq!(fs::read(plan.folder.join(TRAIN)).unwrap(), train());
    assert!(plan.to_string().ends_with("2 files, 1.20 MB; all from the cache: offline"), "{plan}");
    assert_eq!(server.seen().len(), 0);
}

#[test]
fn offline_what_the_cache_lacks_is_named() {
    let (_server, mut client) = served();
    client.offline = true;
    let empty = client.error(&["a"]).to_string();
    assert!(empty.contains("no snapshot of `owner/notes`") && empty.contains("HF_HUB_OFFLINE"), "{empty}");
    client.offline = false;
    client.fetch(&["a"]).unwrap();
    client.offline = true;
    let partly = client.error(&[]).to_string();
    assert!(partly.contains("no b/validation-*.parquet of `owner/notes`"), "{partly}");
    assert!(partly.contains(client.folder.path().to_str().unwrap()), "{partly}");
}

#[test]
fn offline_a_link_whose_blob_is_gone_is_missing() {
    let (_server, mut client) = served();
    let plan = client.fetch(&["b"]).unwrap();
    fs::remove_file(fs::canonicalize(plan.folder.join(VALIDATION)).unwrap()).unwrap();
    client.offline = true;
    assert!(matches!(client.error(&["b"]), HubError::NotCached { .. }));
}

#[test]
fn a_hub_that_does_not_answer_is_replaced_by_a_whole_cache() {
    let (_server, mut client) = served();
    client.fetch(&["a"]).unwrap();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    client.endpoint = format!("http://{closed}");
    let plan = client.fetch(&["a"]).unwrap();
    let from_cache = format!("all from the cache: cannot reach {}", client.endpoint);
    assert!(plan.to_string().contains(&from_cache), "{plan}");
    let error = client.error(&["b"]);
    assert!(matches!(error, HubError::Unreachable { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains(&client.endpoint) && text.contains("HF_ENDPOINT"), "{text}");
}
