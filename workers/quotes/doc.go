// SPDX-License-Identifier: Apache-2.0

// Package quotes keeps what market.quote says of the network: what a block
// pays and how hard it is, by which pools value shares.
//
// # Usage
//
//	var b quotes.Book
//	b.Take(quote)                 // every market.quote of the site, in any order
//	q := b.Network(false)         // of the live chain; nil while nothing is known
//
// Quotes of a practice chain are kept apart. A quote that rests on a node's
// block template goes before those of a market desk for as long as
// events.NetworkQuoteLife. Prices are not looked at.
//
// # Concurrency
//
// A Book is for one goroutine.
package quotes
