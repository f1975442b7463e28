//! What goes wrong, what the error says, and that nothing wrong stays.

use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use hub::{Bundle, Hub, HubError};

use crate::repository::{Repository, hex_sha256};
use crate::server::{COMMIT, HubServer, What};
use crate::{Client, TRAIN, notes, served, train};

/// The message has all of these.
fn says(error: &HubError, parts: &[&str]) {
    let message = error.to_string();
    for part in parts {
        assert!(message.contains(part), "`{part}` is missing in: {message}");
    }
}

#[test]
fn content_of_another_hash_is_refused_and_removed() {
    for (on, file, algorithm) in
        [("GET /store", TRAIN, "SHA-256"), ("GET /cache", "card.json", "git blob SHA-1")]
    {
        let (server, client) = served();
        server.fault(on, 1, What::OtherContent);
        let error = client.error(&["a"]);
        assert!(matches!(error, HubError::Content { .. }), "{error}");
        says(&error, &[file, "owner/notes", algorithm, "not kept"]);
        assert!(!client.files("snapshots").contains(&format!("{COMMIT}/{file}")));
        assert!(client.files("blobs").iter().all(|name| !name.ends_with(".incomplete")));
        assert_eq!(client.files("refs"), [""; 0]);
        client.fetch(&["a"]).expect("the next download is whole");
    }
}

#[test]
fn a_gated_repository_names_licence_page_and_token() {
    let (server, mut client) = served();
    let page = format!("{}/datasets/owner/notes", server.endpoint);
    let tokens = format!("{}/settings/tokens", server.endpoint);
    server.fault("HEAD", 1, What::Status(401, &[("X-Error-Code", "GatedRepo")]));
    says(&client.error(&["a"]), &["gated", "Note Licence 2", &page, &tokens, "HF_TOKEN", "none is set"]);
    client.token = Some("hf_secret".to_string());
    server.fault("HEAD", 1, What::Status(403, &[("X-Error-Code", "GatedRepo")]));
    let error = client.error(&["a"]);
    says(&error, &["gated", &page, "the token that is set has no access"]);
    assert!(!error.to_string().contains("secret"));
}

#[test]
fn a_bundle_that_is_known_as_gated_needs_no_code_from_the_hub() {
    static GATED: Bundle = Bundle {
        name: "gated",
        about: "",
        kind: hub::Kind::Model,
        repo: "owner/notes",
        revision: hub::MAIN,
        files: &[hub::Files::Each("config.json")],
        parts: &[],
        models: &[],
        setting: None,
        place: "",
        inside: "",
        in_cache: false,
        licence: "Gate Licence",
        gated: true,
        about_bytes: 1,
    };
    let (server, client) = served();
    server.fault("GET /api/models", 1, What::Status(401, &[]));
    let hub: Hub = client.hub();
    let error = hub.plan(&GATED, &[], &client.progress()).err().unwrap();
    says(&error, &["gated", "Gate Licence", &format!("at {}/owner/notes,", server.endpoint)]);
}

#[test]
fn an_unknown_repository_is_named() {
    let (server, client) = served();
    server.fault("GET /api", 1, What::Status(404, &[("X-Error-Code", "RepoNotFound")]));
    says(&client.error(&[]), &[&server.endpoint, "no data set `owner/notes`", "HF_TOKEN"]);
    server.fault("GET /api", 1, What::Status(401, &[]));
    says(&client.error(&[]), &["no data set `owner/notes`", "private"]);
}

#[test]
fn an_unknown_file_is_named() {
    let (server, client) = served();
    server.lose_content(TRAIN);
    says(&client.error(&["a"]), &["`owner/notes` has no file", TRAIN]);
    let empty = HubServer::start(&[("card.json", b"{}", false)]);
    let client = Client::of(&empty);
    says(&client.error(&["b"]), &["`owner/notes` has no file `b/validation-*.parquet`", COMMIT]);
    assert_eq!(empty.seen().len(), 1, "nothing is fetched of a bundle that cannot be whole");
}

#[test]
fn an_unknown_part_is_an_error_before_anything_is_asked() {
    let (server, client) = served();
    says(&client.error(&["c"]), &["`notes` has no part `c`; it has a, b"]);
    assert_eq!(server.seen().len(), 0);
}

#[test]
fn a_busy_hub_is_waited_for_as_long_as_it_asks() {
    let (server, client) = served();
    server.fault("GET /api", 1, What::Status(429, &[("Retry-After", "1")]));
    let started = Instant::now();
    client.fetch(&["b"]).unwrap();
    assert!(started.elapsed() >= Duration::from_secs(1), "{:?}", started.elapsed());
    let told = client.text();
    assert!(told.contains("status 429") && told.contains("again in 1 s"), "{told}");
}

#[test]
fn a_busy_hub_that_asks_for_too_much_time_is_an_error() {
    let (server, client) = served();
    server.fault("HEAD", 1, What::Status(429, &[("Retry-After", "3600")]));
    let error = client.error(&["b"]);
    assert!(matches!(error, HubError::TooManyRequests { .. }), "{error}");
    says(&error, &["in 3600 s", "too many requests"]);
}

#[test]
fn a_failure_of_the_server_is_tried_again_and_then_reported() {
    let (server, client) = served();
    server.fault("GET /store", 2, What::Status(503, &[]));
    client.fetch(&["b"]).unwrap();
    server.fault("GET /store", 3, What::Status(500, &[("X-Error-Message", "out of disks")]));
    let error = client.error(&["a"]);
    says(&error, &["status 500: out of disks", "/store/"]);
    assert!(!error.to_string().contains("secret"), "a signature is in: {error}");
}

#[test]
fn a_page_instead_of_a_listing_is_an_error() {
    let (server, client) = served();
    server.fault("GET /api", 1, What::Page("<html>sign in</html>"));
    says(&client.error(&[]), &["not as a hub answers", "HF_ENDPOINT"]);
}

#[test]
fn a_connection_that_is_not_trusted_is_not_tried_again() {
    // A server that does not speak TLS.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut client = Client::of(&notes());
    client.endpoint = format!("https://{}", listener.local_addr().unwrap());
    let connections = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&connections);
    std::thread::spawn(move || {
        for mut connection in listener.incoming().flatten() {
            count.fetch_add(1, Ordering::SeqCst);
            connection.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
            // Until the client goes away: to close with unread bytes would reset the connection.
            std::io::copy(&mut connection, &mut std::io::sink()).ok();
        }
    });
    let error = client.error(&[]);
    assert!(matches!(error, HubError::Untrusted { .. }), "{error}");
    says(&error, &[&client.endpoint, "SSL_CERT_FILE"]);
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}

#[test]
fn a_cache_that_cannot_be_written_is_an_error_naming_it() {
    let (server, client) = served();
    // A file where a folder should be, which stops root too.
    fs::write(client.repository(), "").unwrap();
    let error = client.error(&["a"]);
    assert!(matches!(error, HubError::Write { .. }), "{error}");
    says(&error, &["cannot write", "datasets--owner--notes", "HF_HUB_CACHE"]);
    assert_eq!(server.seen().len(), 1, "no file is asked for that cannot be kept");
}

#[test]
fn a_disk_that_becomes_full_is_an_error_naming_the_file() {
    let (_server, client) = served();
    let blobs = client.repository().join("blobs");
    fs::create_dir_all(&blobs).unwrap();
    let incomplete = blobs.join(format!("{}.incomplete", hex_sha256(&train())));
    std::os::unix::fs::symlink("/dev/full", &incomplete).unwrap();
    let error = client.error(&["a"]);
    assert!(matches!(error, HubError::Write { .. }), "{error}");
    says(&error, &["No space left", ".incomplete", "make room"]);
    assert_eq!(client.files("refs"), [""; 0]);
    fs::remove_file(&incomplete).unwrap();
    client.fetch(&["a"]).expect("there is room now");
}

#[test]
fn a_cache_without_room_for_all_is_an_error_before_a_file_is_asked_for() {
    let notes = Repository::new("datasets/owner/notes", &[("card.json", b"{}", false)]);
    let huge = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    let server = HubServer::of(vec![notes.counted(TRAIN, 1 << 60, huge)]);
    let client = Client::of(&server);
    let error = client.error(&["a"]);
    assert!(matches!(error, HubError::NoRoom { .. }), "{error}");
    says(&error, &[client.folder.path().to_str().unwrap(), "has room for", "1.15 EB", "HF_HUB_CACHE"]);
    assert_eq!(server.seen().len(), 1);
}
