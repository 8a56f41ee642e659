// SPDX-License-Identifier: Apache-2.0

// Package ledger adds up settlement events into totals, honouring reversals:
// what `ballast revenue` and reports print.
//
//	var l ledger.Ledger
//	for ev, err := range … {
//		l.Add(ev)
//	}
//	t := l.Totals()
//
// A settlement that names another as reversed replaces it, whichever of the
// two comes first; an accrual that reverses another carries the figures with
// the sign turned and simply adds up. An event that is delivered twice counts
// once. A settlement whose reversed original lies before the first event added
// counts as it stands.
//
// # Concurrency
//
// A Ledger belongs to one goroutine.
package ledger
