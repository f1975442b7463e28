//! Planning a bundle and fetching it.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use indicatif::DecimalBytes;

use crate::bundles::Bundle;
use crate::cache::{RepositoryCache, free_bytes, size_of};
use crate::download::download;
use crate::environment::Environment;
use crate::error::{HubError, Result};
use crate::http::{Client, Patience};
use crate::listing::{ListedFile, Listing, list};
use crate::plan::{Plan, PlannedFile};
use crate::progress::Progress;
use crate::select::select;

/// A hub and the cache of what comes from it.
pub struct Hub {
    client: Client,
    cache: PathBuf,
    offline: bool,
}

impl Hub {
    pub fn new(environment: &Environment, patience: Patience) -> Result<Hub> {
        Ok(Hub {
            client: Client::new(environment, patience)?,
            cache: environment.cache.clone(),
            offline: environment.offline,
        })
    }

    /// What fetching the bundle, or only the parts of these names, takes. Writes nothing.
    ///
    /// Offline, or when the hub cannot be reached, the cache is the plan; an error then names what it lacks.
    pub fn plan(&self, bundle: &'static Bundle, parts: &[String], progress: &Progress) -> Result<Plan> {
        // A wrong name needs no hub to be found.
        bundle.wanted(parts)?;
        if self.offline {
            return self.plan_from_cache(bundle, parts, "offline".to_string());
        }
        match list(&self.client, bundle, progress) {
            Ok(listing) => self.plan_from_listing(bundle, parts, listing),
            Err(HubError::Unreachable { url, message }) => self
                .plan_from_cache(bundle, parts, format!("cannot reach {}: {message}", self.client.endpoint))
                .map_err(|_| HubError::Unreachable { url, message }),
            Err(error) => Err(error),
        }
    }

    fn plan_from_listing(&self, bundle: &'static Bundle, parts: &[String], listing: Listing) -> Result<Plan> {
        let Listing { commit, licence, files } = listing;
        let names: Vec<String> = files.iter().map(|file| file.name.clone()).collect();
        let chosen = select(&bundle.wanted(parts)?, &names).map_err(|file| HubError::NoFile {
            repo: bundle.repo.to_string(),
            file,
            revision: commit.clone(),
        })?;
        let cache = RepositoryCache::new(&self.cache, bundle);
        let planned = |name: &String| {
            let listed = files.iter().find(|file| file.name == *name).expect("chosen among these").clone();
            let size = cache.size(&commit, name);
            let is_cached = size.is_some() && (listed.size.is_none() || listed.size == size);
            PlannedFile { listed, is_cached }
        };
        let files = chosen.iter().map(planned).collect();
        let folder = cache.snapshot(&commit);
        Ok(Plan { bundle, commit, licence_on_hub: licence, files, folder, from_cache: None })
    }

    fn plan_from_cache(&self, bundle: &'static Bundle, parts: &[String], reason: String) -> Result<Plan> {
        let cache = RepositoryCache::new(&self.cache, bundle);
        let missing = |missing| HubError::NotCached {
            repo: bundle.repo.to_string(),
            missing,
            cache: self.cache.clone(),
        };
        let commit = cache.current_commit().ok_or_else(|| missing("snapshot".to_string()))?;
        let chosen = select(&bundle.wanted(parts)?, &cache.files(&commit)).map_err(missing)?;
        let planned = |name: String| PlannedFile {
            listed: ListedFile { size: cache.size(&commit, &name), name, hash: None },
            is_cached: true,
        };
        Ok(Plan {
            bundle,
            licence_on_hub: None,
            files: chosen.into_iter().map(planned).collect(),
            folder: cache.snapshot(&commit),
            commit,
            from_cache: Some(reason),
        })
    }

    /// Downloads what the plans lack, `jobs` files at a time. A file that arrived stays, whatever happens to the others;
    /// after an error no further file is begun.
    pub fn download(&self, plans: &[Plan], jobs: NonZeroUsize, progress: &Progress) -> Result<()> {
        let plans: Vec<(&Plan, RepositoryCache)> = plans
            .iter()
            .filter(|plan| plan.from_cache.is_none())
            .map(|plan| (plan, RepositoryCache::new(&self.cache, plan.bundle)))
            .collect();
        let mut missing = Vec::new();
        for (plan, cache) in &plans {
            let files = plan.files.iter().filter(|file| !file.is_cached).map(|file| &file.listed);
            let before = missing.len();
            missing.extend(files.map(|file| (*plan, cache, file)));
            if missing.len() > before {
                cache.prepare()?;
            }
        }
        self.check_room(&missing)?;
        let all = progress.begin(missing.len(), missing.iter().filter_map(|(_, _, file)| file.size).sum());
        let outcome = in_parallel(&missing, jobs, |(plan, cache, file)| {
            download(&self.client, cache, plan, file, &all)?;
            all.file_done();
            Ok(())
        });
        // Last, so that offline runs never take a snapshot that is not whole.
        for (plan, cache) in &plans {
            if plan.files.iter().all(|file| cache.size(&plan.commit, file.name()).is_some()) {
                cache.set_current(&plan.commit)?;
            }
        }
        outcome
    }

    /// Whether the cache's disk has room for what is to come, as far as the hub states sizes.
    fn check_room(&self, missing: &[(&Plan, &RepositoryCache, &ListedFile)]) -> Result<()> {
        let to_come = |(_, cache, file): &(&Plan, &RepositoryCache, &ListedFile)| {
            let there = file.hash.as_ref().and_then(|hash| size_of(&cache.incomplete(hash.expected())));
            file.size.unwrap_or(0).saturating_sub(there.unwrap_or(0))
        };
        let needed = missing.iter().map(to_come).fold(0, u64::saturating_add);
        match free_bytes(&self.cache) {
            Some(free) if !missing.is_empty() && needed > free => Err(HubError::NoRoom {
                cache: self.cache.clone(),
                needed: DecimalBytes(needed).to_string(),
                free: DecimalBytes(free).to_string(),
            }),
            _ => Ok(()),
        }
    }
}

/// Does the work for each item, several at once; after an error no further item is begun. The error is the first one.
fn in_parallel<Item: Sync>(
    items: &[Item],
    jobs: NonZeroUsize,
    work: impl Fn(&Item) -> Result<()> + Sync,
) -> Result<()> {
    let (next, error) = (AtomicUsize::new(0), Mutex::new(None));
    let worker = || {
        while error.lock().expect("no worker panics").is_none() {
            let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) else { return };
            if let Err(found) = work(item) {
                error.lock().expect("no worker panics").get_or_insert(found);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..jobs.get().min(items.len()) {
            scope.spawn(worker);
        }
    });
    error.into_inner().expect("no worker panics").map_or(Ok(()), Err)
}
