// SPDX-License-Identifier: Apache-2.0

package inspector

import (
	"strings"
	"time"

	"github.com/ballast-energy/ballast/events"
)

// maxFlooders is how many senders are told apart at a time; the letters of all
// further ones are counted together.
const maxFlooders = 10_000

// floods bounds the letters per sender and minute of arrival. It goes by
// arrival times, so that replicas decide alike. Not safe for concurrent use.
type floods struct {
	most  int
	by    map[string]*flow
	begun func(sender, site string, minute int64)
	ended func(sender, site string, minute int64, counted uint64)
}

type flow struct {
	site    string
	minute  int64 // Unix minutes
	letters int
	counted uint64 // without a letter, since the flood began
	since   int64  // minute in which the flood began, 0 when there is none
}

// sender is the subject without the parts that a flooder could vary: prefix,
// site, type and source, cut to a length.
func sender(subject string) (key, site string) {
	site = unknownSite
	if a, err := events.ParseSubject(subject); err == nil {
		return a.Site + "/" + string(a.Type) + "/" + a.Source, a.Site
	}
	parts := strings.SplitN(subject, ".", 3)
	if len(parts) > 1 && events.CheckToken("site", parts[1]) == nil {
		site = parts[1]
	}
	return site + "/unreadable-subject", site
}

// admit reports whether a bad message of subject gets a letter.
func (f *floods) admit(subject string, arrived time.Time) bool {
	key, site := sender(subject)
	x := f.by[key]
	if x == nil {
		if len(f.by) >= maxFlooders {
			key, site = unknownSite+"/too-many-senders", unknownSite
			x = f.by[key]
		}
		if x == nil {
			x = &flow{site: site}
			f.by[key] = x
		}
	}
	if m := arrived.Unix() / 60; m > x.minute {
		x.minute, x.letters = m, 0
	}
	if x.letters < f.most {
		x.letters++
		return true
	}
	x.counted++
	if x.since == 0 {
		x.since = x.minute
		f.begun(key, x.site, x.since)
	}
	return false
}

// quiet ends the floods that nothing was heard of for a whole minute before
// now, and forgets senders.
func (f *floods) quiet(now time.Time) {
	minute := now.Unix() / 60
	for key, x := range f.by {
		if x.minute+1 >= minute {
			continue
		}
		if x.since != 0 {
			f.ended(key, x.site, x.since, x.counted)
		}
		delete(f.by, key)
	}
}
