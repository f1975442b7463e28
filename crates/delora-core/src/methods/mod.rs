//! The registry: one file and one line per method, in the order of tables and legends.

mod adapter_houlsby;
mod adapter_pfeiffer;
mod bitfit;
mod bottleneck;
mod controllable_boundary;
mod delora;
mod dora;
mod dora_fixed_magnitude;
mod ether;
mod ether_plus;
mod ether_plus_one_sided;
mod full;
mod ia3;
mod lora;
mod lora_normalized;
mod lora_plus;
mod loreft;
mod multiplicative_high_rank;
mod multiplicative_relaxed;
mod none;
mod oft;
mod pissa;
mod red;
mod reflections;
mod rslora;
mod vera;

use std::sync::{PoisonError, RwLock};

use crate::config::{MethodConfig, OptimizerConfig, Schedule, TrialConfig};
use crate::error::CoreError;
use crate::method::Method;
use crate::parameter_group::Group;

/// Lists the methods with the names of their settings, and keeps the texts of their files for [`Method::header`].
macro_rules! registry {
    ($($name:ident: $settings:ident,)+) => {
        /// The methods of this crate, in the order of tables and legends.
        pub static METHODS: &[Method] = &[$($name::METHOD),+];
        static FILES: &[&str] = &[$(include_str!(concat!(stringify!($name), ".rs"))),+];

        /// The settings of each method, which become a trial's [`MethodConfig`] by `into()`.
        ///
        /// ```
        /// use delora_core::{MethodConfig, settings::Lora};
        ///
        /// let typed = MethodConfig::from(Lora { rank: 4, ..Default::default() });
        /// let parsed: MethodConfig = serde_json::from_str(r#"{"name": "lora", "rank": 4}"#)?;
        /// assert_eq!(typed, parsed);
        /// # Ok::<(), serde_json::Error>(())
        /// ```
        pub mod settings {
            pub use crate::methods::bottleneck::Activation;
            pub use crate::methods::delora::{InitialUpdate, WeightNorm};
            pub use crate::methods::reflections::{BlockLayout, Side};
            $(pub use crate::methods::$name::Settings as $settings;)+
        }

        $(impl From<$name::Settings> for MethodConfig {
            fn from(settings: $name::Settings) -> MethodConfig {
                $name::METHOD.config(&settings)
            }
        })+
    };
}

registry![
    none: NoFinetuning,
    lora: Lora,
    lora_normalized: LoraNormalized,
    delora: Delora,
    multiplicative_relaxed: MultiplicativeRelaxed,
    multiplicative_high_rank: MultiplicativeHighRank,
    controllable_boundary: ControllableBoundary,
    ether_plus_one_sided: EtherPlusOneSided,
    dora: Dora,
    dora_fixed_magnitude: DoraFixedMagnitude,
    ether: Ether,
    ether_plus: EtherPlus,
    oft: Oft,
    full: FullFinetuning,
    bitfit: BitFit,
    ia3: Ia3,
    loreft: Loreft,
    red: Red,
    adapter_houlsby: AdapterHoulsby,
    adapter_pfeiffer: AdapterPfeiffer,
    vera: Vera,
    pissa: Pissa,
    rslora: RsLora,
    lora_plus: LoraPlus,
];

/// Methods of other crates, in the order in which they were added.
static ADDED: RwLock<Vec<&'static Method>> = RwLock::new(Vec::new());

fn known_methods() -> Vec<&'static Method> {
    METHODS.iter().chain(ADDED.read().unwrap_or_else(PoisonError::into_inner).iter().copied()).collect()
}

/// Makes a method of another crate known by its name, for this process: banks, adapter files and [`find_method`] then
/// take it as they take those of [`METHODS`]. To add a method again changes nothing.
///
/// Errors where another method has that name.
pub fn add_method(method: &'static Method) -> Result<(), CoreError> {
    match find_method(method.name()) {
        Ok(known) if std::ptr::eq(known, method) => Ok(()),
        Ok(_) => Err(CoreError::MethodExists { name: method.name() }),
        Err(_) => {
            ADDED.write().unwrap_or_else(PoisonError::into_inner).push(method);
            Ok(())
        }
    }
}

impl Method {
    /// What the method's file says at its top: formula, symbols with their shapes, start, invariant, source and
    /// departures. Of a method from another crate: title and formula.
    pub fn header(&self) -> String {
        let file = METHODS.iter().zip(FILES).find(|(method, _)| method.name() == self.name());
        let Some((_, file)) = file else {
            return format!("{}\n\n```text\n{}\n```\n", self.about.title, self.about.formula);
        };
        let lines = file.lines().map_while(|line| line.strip_prefix("//!"));
        lines.map(|line| format!("{}\n", line.strip_prefix(' ').unwrap_or(line))).collect()
    }

    /// Where the method stands among the known ones.
    pub(crate) fn position(&self) -> usize {
        let methods = known_methods();
        methods.iter().position(|known| known.name() == self.name()).unwrap_or(methods.len())
    }
}

/// The method of that name, of this crate or added by [`add_method`]; an error lists the known names.
pub fn find_method(name: &str) -> Result<&'static Method, CoreError> {
    let methods = known_methods();
    methods.iter().copied().find(|method| method.name() == name).ok_or_else(|| CoreError::UnknownMethod {
        name: name.to_owned(),
        known: methods.iter().map(|method| method.name()).collect::<Vec<_>>().join(", "),
    })
}

impl TrialConfig {
    /// A trial of a method with one learning rate for all its groups, and the defaults of everything else.
    ///
    /// ```
    /// use delora_core::{Group, TrialConfig, settings::Delora};
    ///
    /// let trial = TrialConfig::new(Delora { rank: 8, ..Default::default() }, 1e-3, 42);
    /// assert_eq!(trial.method.name, "delora");
    /// assert_eq!(trial.learning_rate[&Group::Strength], 1e-3);
    /// ```
    pub fn new(method: impl Into<MethodConfig>, learning_rate: f64, seed: u64) -> TrialConfig {
        let method = method.into();
        // A bank refuses a name that is not known.
        let groups = find_method(&method.name).map_or(&[] as &[Group], |method| method.about.groups);
        TrialConfig {
            learning_rate: groups.iter().map(|&group| (group, learning_rate)).collect(),
            method,
            optimizer: OptimizerConfig::default(),
            schedule: Schedule::default(),
            targets: None,
            seed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_titles_are_unique() {
        for texts in [|method: &Method| method.about.name, |method: &Method| method.about.title] {
            let mut seen: Vec<&str> = METHODS.iter().map(texts).collect();
            seen.sort_unstable();
            seen.dedup();
            assert_eq!(seen.len(), METHODS.len());
        }
    }

    #[test]
    fn headers_are_the_methods_own_and_say_what_every_header_says() {
        for method in METHODS {
            let header = method.header();
            for part in ["```text\n", "Start", "Source: ", "Departures: "] {
                assert!(header.contains(part), "{}: {part}", method.name());
            }
        }
        assert!(find_method("dora").unwrap().header().starts_with("DoRA"));
    }

    #[test]
    fn an_unknown_method_is_an_error_that_lists_the_known_ones() {
        let message = find_method("lorra").err().unwrap().to_string();
        assert!(message.contains("`lorra`") && message.contains("lora_normalized"), "{message}");
    }
}
