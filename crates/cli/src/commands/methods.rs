//! `delora methods`: the registry, as experiment files name it.

use delora_core::METHODS;

pub fn run() {
    for method in METHODS {
        let about = &method.about;
        println!("{}  ({})", about.name, about.title);
        println!("    computes  {}", about.formula);
        println!("    bound     {}", about.bound);
        println!("    settings  {}", method.defaults());
    }
}
