//! Planning a bundle and fetching it.

use std::path::PathBuf;

use crate::bundles::Bundle;
use crate::cache::RepositoryCache;
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

    /// Downloads what the plan lacks. A file that arrived stays, whatever happens to the next one.
    pub fn download(&self, plan: &Plan, progress: &Progress) -> Result<()> {
        if plan.from_cache.is_some() {
            return Ok(());
        }
        let cache = RepositoryCache::new(&self.cache, plan.bundle);
        if plan.files.iter().any(|file| !file.is_cached) {
            cache.prepare()?;
        }
        for file in plan.files.iter().filter(|file| !file.is_cached) {
            download(&self.client, &cache, plan, &file.listed, progress)?;
        }
        // Last, so that offline runs never take a snapshot that is not whole.
        cache.set_current(&plan.commit)
    }
}
