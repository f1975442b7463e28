//! A file of 200 MB over connections that drop.

use std::fs;

use hub::{Bundle, Files, HubError, Kind};

use crate::Client;
use crate::repository::Repository;
use crate::server::{COMMIT, HubServer, What};

const SIZE: u64 = 200_000_000;
/// Hash of the little-endian words `i · 0x9E3779B97F4A7C15` for i from 0, as NumPy and hashlib have it.
const SHA256: &str = "e295330a4a60c8b03384383ecccc2232075d84a847470d8ac0b3498e52b61f5e";

static LARGE: Bundle = Bundle {
    name: "large",
    about: "a network to test with",
    kind: Kind::Model,
    repo: "owner/large",
    revision: hub::MAIN,
    files: &[Files::Each("model.safetensors")],
    parts: &[],
    models: &[],
    setting: Some("model"),
    place: "models/large",
    inside: "",
    in_cache: false,
    licence: "",
    gated: false,
    about_bytes: SIZE,
};

#[test]
fn two_hundred_megabytes_over_dropping_connections_arrive_once_and_verified() {
    let large = Repository::new("models/owner/large", &[]).counted("model.safetensors", SIZE, SHA256);
    let server = HubServer::of(vec![large]);
    let client = Client::of(&server);
    let cut = |times, bytes| server.fault("GET /store", times, What::CutAfter(bytes));
    let ranges = || {
        let seen = server.seen().into_iter().filter(|request| request.line.contains("GET /store"));
        seen.map(|request| request.range.unwrap_or("none".to_string())).collect::<Vec<_>>()
    };

    cut(1, 50_000_001);
    cut(1, 30_000_000);
    cut(2, 0);
    let dropped = client.fetch_all(&[&LARGE]).err().unwrap();
    assert!(matches!(dropped, HubError::Dropped { have: 80_000_001, .. }), "{dropped}");
    assert_eq!(ranges(), ["none", "bytes=50000001-", "bytes=80000001-", "bytes=80000001-"]);

    // Another run, as after the program was ended.
    cut(1, 70_000_003);
    let plans = client.fetch_all(&[&LARGE]).unwrap();
    assert_eq!(ranges(), ["bytes=80000001-", "bytes=150000004-"]);
    assert_eq!(server.sent(), SIZE, "no byte is sent twice");

    let repository = client.folder.path().join("models--owner--large");
    let blobs: Vec<_> = fs::read_dir(repository.join("blobs")).unwrap().map(Result::unwrap).collect();
    assert_eq!(blobs.iter().map(fs::DirEntry::file_name).collect::<Vec<_>>(), [SHA256]);
    assert_eq!(fs::metadata(plans[0].folder.join("model.safetensors")).unwrap().len(), SIZE);
    assert_eq!(fs::read_to_string(repository.join("refs/main")).unwrap(), COMMIT);
}
