// SPDX-License-Identifier: Apache-2.0

// Package siteview keeps a picture of one site from its events: what it draws,
// what mining may draw and does, what was earned, how fast commands were
// followed, how long the limit was exceeded and by whom. The live terminal
// view shows it and the summary at the end is made of it.
//
// # Usage
//
//	v := siteview.New("demo", bus)
//	go v.Run(ctx)
//	p := v.Picture()
//
// The picture is an observer's: it decides nothing, and it counts only from
// the moment it began. Money and energy that must be exact come from the
// REVENUE stream and from Account, which integrates readings in integers.
//
// # Concurrency
//
// One goroutine runs a View; Picture may be called from any.
package siteview
