// SPDX-License-Identifier: Apache-2.0

// Package confirm follows blocks that were found until it is final what became
// of them: acceptance by a node is not the best chain.
//
// # Usage
//
//	t, err := confirm.NewTracker(chain, confirm.Config{OnChange: func(c confirm.Change) error { … }})
//	t.Add(confirm.Block{Hash: hash, Height: 900_000, Found: at}, false)
//	err = t.Run(ctx)
//
// # What counts
//
// A block is looked for by its hash. It has matured with 100 confirmations on
// the best chain. It is orphaned when the best chain holds another block at its
// height, six deep: tips swap places within seconds, and a reorganisation that
// is deeper has not been seen on the main chain for years. An orphan is looked
// for until it lies 200 deep, and comes back when the chain turns to it.
//
// A block that the nodes do not know is beside their chain all the more, and is
// called orphaned at the same depth, marked Unknown: it may never have reached
// one. Where no depth can be told, as the chain never comes to its height (it
// was cut, or is another one), it is called orphaned a day after it was found.
// So every block comes to an end: matured, or orphaned and then lost, as long
// as the nodes answer. When they do not, nothing is known, and nothing said.
//
// # Concurrency
//
// Methods of a Tracker may be called from anywhere. Config.OnChange is called by
// the goroutine of Run or Look, and may call the tracker.
package confirm
