// SPDX-License-Identifier: Apache-2.0

// Package figures writes numbers for people: with their thousands apart, and
// with the things that are counted.
//
// # Usage
//
//	figures.Grouped("1234567.5")   // 1,234,567.5
//	figures.Int(1200)              // 1,200
//	figures.Count(1200, "machine") // 1,200 machines
//
// # Concurrency
//
// Pure functions.
package figures
