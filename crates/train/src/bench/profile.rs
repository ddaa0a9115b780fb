//! Where the milliseconds of a step went, against what the machine could do.

use std::fmt::Write;

use kernels::profile::{Ceiling, Measured, Operands, Phase, Products};
use serde::Serialize;

/// Shapes of products that are told and measured alone, half a second each.
const MOST_SHAPES: usize = 12;

/// What steps spent where.
#[derive(Debug, Clone, Serialize)]
pub struct Profile {
    /// Rate of a large matrix product, in 10⁹ operations a second.
    pub matmul_gflops: f64,
    /// Rate of a sum of long vectors, in 10⁹ bytes a second, read and written.
    pub memory_gb_per_s: f64,
    /// Operations, the slowest first.
    pub profile: Vec<Operation>,
    /// Shapes of matrix products, those that took longest first.
    pub products: Vec<Product>,
}

/// What the matrix products of one shape took of a step.
#[derive(Debug, Clone, Serialize)]
pub struct Product {
    /// Rows and columns of the result, and terms of each sum.
    pub shape: [usize; 3],
    /// Whether the columns, not the rows, of the left and of the right matrix lie together.
    pub turned: [bool; 2],
    /// Calls in a step.
    pub calls: f64,
    /// Milliseconds of a step.
    pub ms: f64,
    /// Their rate in the step, in 10⁹ operations a second.
    pub gflops: f64,
    /// The same of such a product alone, its operands in the caches.
    pub cached_gflops: f64,
    /// The same, its operands in memory.
    pub uncached_gflops: f64,
}

impl Product {
    fn new(products: &Products, steps: usize) -> Self {
        let Products { shape, calls, time } = *products;
        let rate = |operands| shape.alone(operands) / 1e9;
        Self {
            shape: [shape.m, shape.n, shape.k],
            turned: shape.turned,
            calls: calls as f64 / steps as f64,
            ms: time.as_secs_f64() * 1e3 / steps as f64,
            gflops: shape.flops() * calls as f64 / time.as_secs_f64() / 1e9,
            cached_gflops: rate(Operands::InCache),
            uncached_gflops: rate(Operands::InMemory),
        }
    }
}

/// What one operation took of a step.
#[derive(Debug, Clone, Serialize)]
pub struct Operation {
    /// Its name.
    pub name: &'static str,
    /// `forward`, `backward` or `update`.
    pub phase: &'static str,
    /// Calls in a step.
    pub calls: f64,
    /// Milliseconds of a step.
    pub ms: f64,
    /// Of these, in matrix products.
    pub products_ms: f64,
    /// The least it could take: its arithmetic at the rate of a large matrix product, or
    /// its operands, once each, at that of memory, whichever is more.
    pub floor_ms: f64,
    /// 10⁹ additions and multiplications of products and attention in a step.
    pub gflop: f64,
    /// Bytes of its operands in a step.
    pub bytes: f64,
}

impl Profile {
    /// The profile of `steps` equal steps. Measures the products that took longest alone.
    pub(super) fn new(measured: &Measured, steps: usize, ceiling: Ceiling) -> Self {
        let rows = &measured.operations;
        let mut products = measured.products.clone();
        products.sort_by_key(|products| std::cmp::Reverse(products.time));
        products.truncate(MOST_SHAPES);
        let a_step = |number: f64| number / steps as f64;
        let mut profile: Vec<Operation> = rows
            .iter()
            .map(|row| Operation {
                name: row.name,
                phase: match row.phase {
                    Phase::Forward => "forward",
                    Phase::Backward => "backward",
                    Phase::Update => "update",
                },
                calls: a_step(row.calls as f64),
                ms: a_step(row.time.as_secs_f64() * 1e3),
                products_ms: a_step(row.products.as_secs_f64() * 1e3),
                floor_ms: a_step((row.flops / ceiling.flops).max(row.bytes / ceiling.bytes) * 1e3),
                gflop: a_step(row.flops / 1e9),
                bytes: a_step(row.bytes),
            })
            .collect();
        profile.sort_by(|a, b| b.ms.total_cmp(&a.ms));
        Self {
            matmul_gflops: ceiling.flops / 1e9,
            memory_gb_per_s: ceiling.bytes / 1e9,
            profile,
            products: products
                .iter()
                .map(|all| Product::new(all, steps))
                .collect(),
        }
    }

    /// The profile as a table for people.
    pub fn table(&self) -> String {
        let mut text = format!(
            "a large product runs at {:.0} GFLOP/s, memory at {:.1} GB/s\n\
             {:<22}{:<10}{:>6}{:>10}{:>8}{:>12}{:>10}{:>10}{:>9}\n",
            self.matmul_gflops,
            self.memory_gb_per_s,
            "operation",
            "pass",
            "calls",
            "ms",
            "share",
            "in products",
            "floor ms",
            "GFLOP/s",
            "GB/s",
        );
        let sum = |of: fn(&Operation) -> f64| self.profile.iter().map(of).sum::<f64>();
        let whole = Operation {
            name: "all",
            phase: "",
            calls: sum(|row| row.calls),
            ms: sum(|row| row.ms),
            products_ms: sum(|row| row.products_ms),
            floor_ms: sum(|row| row.floor_ms),
            gflop: sum(|row| row.gflop),
            bytes: sum(|row| row.bytes),
        };
        for row in self.profile.iter().chain([&whole]) {
            // Writing to a string cannot fail.
            let _ = writeln!(
                text,
                "{:<22}{:<10}{:>6.0}{:>10.2}{:>7.1}%{:>12.2}{:>10.2}{:>10.1}{:>9.1}",
                row.name,
                row.phase,
                row.calls,
                row.ms,
                100.0 * row.ms / whole.ms,
                row.products_ms,
                row.floor_ms,
                row.gflop / row.ms * 1e3,
                row.bytes / row.ms / 1e6,
            );
        }
        self.write_products(&mut text);
        text
    }

    fn write_products(&self, text: &mut String) {
        if self.products.is_empty() {
            return;
        }
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "\n{:<32}{:>6}{:>10}{:>10}{:>18}{:>11}",
            "product", "calls", "ms", "GFLOP/s", "alone: in caches", "in memory"
        );
        for row in &self.products {
            let [m, n, k] = row.shape;
            let [left, right] = row.turned.map(|turned| if turned { "ᵀ" } else { "" });
            let shape = format!("{m}×{k}{left} · {k}×{n}{right}");
            let _ = writeln!(
                text,
                "{shape:<32}{:>6.0}{:>10.2}{:>10.1}{:>18.1}{:>11.1}",
                row.calls, row.ms, row.gflops, row.cached_gflops, row.uncached_gflops
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_floor_is_arithmetic_or_memory_whichever_takes_longer() {
        let row = |name, flops, bytes, ms| kernels::profile::Row {
            name,
            phase: Phase::Forward,
            calls: 4,
            time: Duration::from_millis(ms),
            products: Duration::ZERO,
            flops,
            bytes,
        };
        let rows = [row("sum", 1e6, 4e9, 900), row("product", 6e9, 1e6, 1100)];
        let ceiling = Ceiling {
            flops: 1e10,
            bytes: 1e10,
        };
        let measured = Measured {
            operations: rows.to_vec(),
            products: Vec::new(),
        };
        let profile = Profile::new(&measured, 2, ceiling);
        let found: Vec<_> = profile
            .profile
            .iter()
            .map(|row| (row.name, row.calls, row.ms.round(), row.floor_ms.round()))
            .collect();
        assert_eq!(
            found,
            [("product", 2.0, 550.0, 300.0), ("sum", 2.0, 450.0, 200.0)]
        );
        let table = profile.table();
        let last = table.lines().last().unwrap_or_default();
        assert!(
            last.contains("1000.00") && last.contains("500.00"),
            "{table}"
        );
    }
}
