//! Makes PNG files smaller without changing a pixel, and says by how much.
//!
//! `cargo run --release -p figures --example pack_png -- $(git ls-files 'plots/*.png')`

use std::path::Path;

use figures::{Packed, Result, pack_png};

fn main() -> Result<()> {
    let mut all = Packed::default();
    for name in std::env::args().skip(1) {
        let packed = pack_png(Path::new(&name))?;
        println!("{name}: {} to {} bytes", packed.before, packed.after);
        all = Packed { before: all.before + packed.before, after: all.after + packed.after };
    }
    println!("all: {} to {} bytes", all.before, all.after);
    Ok(())
}
