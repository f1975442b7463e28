//! One file, from the hub into its snapshot.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::path::Path;

use ureq::http::{Method, header};

use crate::bundles::Bundle;
use crate::cache::{RepositoryCache, size_of};
use crate::content::{ContentHash, is_sha256};
use crate::error::{HubError, Result};
use crate::http::{Answer, Client, encoded, text};
use crate::listing::ListedFile;
use crate::plan::Plan;
use crate::progress::{AllProgress, FileProgress};

const CHUNK_BYTES: usize = 1 << 16;

/// What is known of a file before its content is asked for.
struct Remote<'a> {
    bundle: &'a Bundle,
    name: &'a str,
    url: String,
    /// Names the blob.
    etag: String,
    size: u64,
    hash: Option<ContentHash>,
}

/// Gets a file that its snapshot lacks. Two processes that want the same file get it once.
pub(crate) fn download(
    client: &Client,
    cache: &RepositoryCache,
    plan: &Plan,
    file: &ListedFile,
    progress: &AllProgress,
) -> Result<()> {
    let remote = ask(client, plan, file, progress)?;
    let waiting = || progress.notice(&format!("{}: another process fetches it; waiting", remote.name));
    let _lock = cache.lock(&remote.etag, waiting)?;
    let (blob, incomplete) = (cache.blob(&remote.etag), cache.incomplete(&remote.etag));
    if size_of(&blob) != Some(remote.size) {
        // What an earlier run left may be of a broken disk or of another program: then once more, from the start.
        let left = size_of(&incomplete).unwrap_or(0) > 0;
        receive_all(client, &remote, &incomplete, progress)?;
        let mut checked = check(&remote, &incomplete);
        if left && checked.is_err() {
            progress.notice(&format!("{}: what an earlier run left is damaged; from the start", remote.name));
            receive_all(client, &remote, &incomplete, progress)?;
            checked = check(&remote, &incomplete);
        }
        checked?;
        fs::rename(&incomplete, &blob).map_err(HubError::write(&blob))?;
    }
    cache.link(&plan.commit, remote.name, &remote.etag)
}

/// Size and ETag of a file. For what lies in a store of large files, the hub says both beside the redirect.
fn ask<'a>(client: &Client, plan: &Plan, file: &'a ListedFile, progress: &AllProgress) -> Result<Remote<'a>> {
    let (bundle, commit) = (plan.bundle, &plan.commit);
    let prefix = bundle.kind.prefix();
    let url = format!("{}/{prefix}{}/resolve/{commit}/{}", client.endpoint, bundle.repo, encoded(&file.name));
    let answer = client.send(&Method::HEAD, &url, 0, progress.progress())?;
    if !(200..400).contains(&answer.status) {
        return Err(client.refusal(bundle, Some(&file.name), answer));
    }
    let wrong = |message: &str| HubError::Answer { url: url.clone(), message: message.to_string() };
    // A redirect's own ETag and length are not the file's.
    let header = |name: &str| (answer.status == 200).then(|| text(&answer.headers, name)).flatten();
    let listed_hash = file.hash.as_ref().map(ContentHash::expected);
    let etag = text(&answer.headers, "x-linked-etag").or_else(|| header("etag")).or(listed_hash);
    let etag = etag.ok_or_else(|| wrong("there is no ETag"))?;
    let etag = etag.trim_start_matches("W/").trim_matches('"');
    // It becomes the name of a file.
    if etag.is_empty() || !etag.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        return Err(wrong(&format!("its ETag is `{etag}`")));
    }
    let size = text(&answer.headers, "x-linked-size").or_else(|| header("content-length"));
    let size = size.and_then(|size| size.parse().ok()).or(file.size);
    let size = size.ok_or_else(|| wrong("there is no size"))?;
    if file.size.is_some_and(|listed| listed != size) {
        return Err(wrong(&format!("its size is {size}, listed are {}", file.size.unwrap_or(0))));
    }
    let by_etag = || is_sha256(etag).then(|| ContentHash::Sha256(etag.to_lowercase()));
    let hash = file.hash.clone().or_else(by_etag);
    Ok(Remote { bundle, name: &file.name, etag: etag.to_string(), size, hash, url })
}

/// Receives the file, going on where a dropped connection or an earlier run ended.
fn receive_all(client: &Client, remote: &Remote, path: &Path, progress: &AllProgress) -> Result<()> {
    let mut file = OpenOptions::new().create(true).append(true).open(path).map_err(HubError::write(path))?;
    let mut have = size_of(path).unwrap_or(0);
    if have > remote.size {
        have = restart(&file, path)?;
    }
    let bar = progress.file(remote.name, remote.size, have);
    let (mut farthest, mut failures) = (have, 0);
    while have < remote.size {
        let message = receive(client, remote, (&mut file, path), &mut have, &bar, progress)?;
        if have >= remote.size {
            break;
        }
        // Only tries that get nowhere count: a large file may outlive many connections.
        failures = if have > farthest { 1 } else { failures + 1 };
        farthest = farthest.max(have);
        if failures >= client.patience.tries {
            let (repo, file) = (remote.bundle.repo.to_string(), remote.name.to_string());
            return Err(HubError::Dropped { repo, file, have, size: remote.size, message });
        }
        progress.notice(&format!("{}: {message} at {have} of {} bytes; going on", remote.name, remote.size));
        std::thread::sleep(client.patience.wait(failures));
    }
    file.sync_all().map_err(HubError::write(path))
}

/// Appends what one request brings, and says why it ended.
fn receive(
    client: &Client,
    remote: &Remote,
    (file, path): (&mut File, &Path),
    have: &mut u64,
    bar: &FileProgress,
    progress: &AllProgress,
) -> Result<String> {
    // From the hub each time: the addresses that it redirects to expire.
    let answer = client.send(&Method::GET, &remote.url, *have, progress.progress())?;
    match answer.status {
        206 if range_start(&answer) == Some(*have) => {}
        // The server knows no ranges, or sent another one.
        200 | 206 | 416 if *have > 0 => {
            *have = restart(file, path)?;
            if answer.status != 200 {
                return Ok("the server sent another range".to_string());
            }
        }
        200 => {}
        _ => return Err(client.refusal(remote.bundle, Some(remote.name), answer)),
    }
    // One byte too many is enough to know that the content is another one.
    let mut body = answer.body.into_reader().take(remote.size - *have + 1);
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        match body.read(&mut chunk) {
            Ok(0) => return Ok("the connection ended".to_string()),
            Ok(count) => {
                file.write_all(&chunk[..count]).map_err(HubError::write(path))?;
                *have += count as u64;
                bar.at(*have);
            }
            Err(error) => return Ok(error.to_string()),
        }
    }
}

fn range_start(answer: &Answer) -> Option<u64> {
    let range = text(&answer.headers, header::CONTENT_RANGE.as_str())?;
    range.trim().strip_prefix("bytes ")?.split_once('-')?.0.parse().ok()
}

fn restart(file: &File, path: &Path) -> Result<u64> {
    file.set_len(0).map_err(HubError::write(path))?;
    Ok(0)
}

/// Compares a received file with what the hub says of it, and removes it if it is another.
fn check(remote: &Remote, path: &Path) -> Result<()> {
    let found_size = size_of(path).unwrap_or(0);
    let (algorithm, expected, found) = if found_size != remote.size {
        ("size", remote.size.to_string(), format!("at least {found_size}"))
    } else if let Some(hash) = &remote.hash {
        (hash.algorithm(), hash.expected().to_string(), hash.of_file(path)?)
    } else {
        return Ok(());
    };
    if found == expected {
        return Ok(());
    }
    fs::remove_file(path).map_err(HubError::write(path))?;
    let (repo, file) = (remote.bundle.repo.to_string(), remote.name.to_string());
    Err(HubError::Content { repo, file, algorithm, expected, found })
}
