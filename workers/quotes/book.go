// SPDX-License-Identifier: Apache-2.0

package quotes

import (
	"strings"

	"github.com/ballast-energy/ballast/events"
)

// Book is the newest of what quotes say of the network. Its zero value is
// ready.
type Book struct{ live, practice world }

// world is one chain: the newest quote of a template, and of a desk.
type world struct{ template, desk *events.MarketQuote }

// Take takes a quote in, unless it is older than one of its kind; q is not
// kept.
func (b *Book) Take(q *events.MarketQuote) {
	w := &b.live
	if q.Practice {
		w = &b.practice
	}
	kind := &w.desk
	if q.NetworkOnly {
		kind = &w.template
	}
	if *kind != nil && q.QuotedAt.Before((*kind).QuotedAt) {
		return
	}
	own := *q
	own.NBits = strings.Clone(q.NBits)
	*kind = &own
}

// Network is the quote whose NBits, Height, SubsidySats and FeesSats hold, nil
// while none is known. It must not be changed.
func (b *Book) Network(practice bool) *events.MarketQuote {
	w := &b.live
	if practice {
		w = &b.practice
	}
	if w.template == nil || w.desk != nil && w.desk.QuotedAt.Sub(w.template.QuotedAt) >= events.NetworkQuoteLife {
		return w.desk
	}
	return w.template
}
