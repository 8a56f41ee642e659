// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/decider"
	"github.com/ballast-energy/ballast/handlers/dispatch"
	"github.com/ballast-energy/ballast/handlers/host/replica"
	"github.com/ballast-energy/ballast/handlers/settlement/ledger"
)

// commandDelay is how long after its cause a reduction may be stored while no
// fault is near.
const commandDelay = 500 * time.Millisecond

// auditor holds what was stored against the journal, once the run is over.
type auditor struct {
	w *world
	// cut are the ids of causes' sequences that the journal lost, with the
	// time of their loss.
	cut map[uint64]bool
	// dispatch as replayed to the end of the journal.
	dispatch *dispatch.Dispatch
}

func newAuditor(w *world) *auditor { return &auditor{w: w, cut: make(map[uint64]bool)} }

// lost is told of every message that a cut takes.
func (a *auditor) lost(m *stored) { a.cut[m.Sequence] = true }

// said is told of every command stored: a reduction is stored soon after the
// reading or signal that caused it.
func (a *auditor) said(m *stored) {
	w := a.w
	if w.now < w.oracle.faultUntil {
		return
	}
	if _, ok := addressee(m.Subject, events.TypeCommandCurtail); !ok && m.Subject != events.BroadcastSubject(events.DefaultPrefix, siteName) {
		return
	}
	_, _, k, ok := decider.ParseMessageID(m.id)
	if !ok || k.Sequence == 0 || k.Sequence > w.bus.journal().last() {
		return
	}
	if late := w.now - w.bus.journal().msgs[k.Sequence-1].at; late > commandDelay {
		w.violated(RuleDown, "a reduction was stored %s after its cause, journal sequence %d", late, k.Sequence)
	}
}

// finish replays the journal and balances the books.
func (a *auditor) finish() {
	w := a.w
	known := w.bus.openings()
	var epochs decider.Epochs
	for _, o := range known {
		epochs.Add(o)
	}
	for n, make := range w.deciders(w.story.Hosts[0].Version) {
		if w.violation == nil {
			a.replay(make(), known, &epochs, n == 0)
		}
	}
	if w.violation == nil {
		a.books()
	}
	if w.violation == nil {
		a.recovered()
	}
}

// replay folds the journal anew: every command must come out, byte for byte.
func (a *auditor) replay(d decider.Decider, known []decider.Opening, epochs *decider.Epochs, judged bool) {
	w := a.w
	id := d.Identity()
	r, err := decider.NewRunner(events.DefaultPrefix, siteName, d)
	if err != nil {
		panic(err) // names are constants
	}
	for _, o := range known {
		r.Opened(o)
	}
	have := make(map[string]*stored)
	for _, name := range replica.OutputStreams() {
		msgs := w.bus.streams[name].msgs
		for i := range msgs {
			if _, who, k, ok := decider.ParseMessageID(msgs[i].id); ok && who == id.Name && epochs.At(k.Sequence) == k.Epoch {
				if one := have[msgs[i].id]; one != nil && !w.story.serverJumps() {
					w.violated(RuleReplay, "%s is stored twice, as %s/%d and as %s/%d", one.id, name, one.Sequence, name, msgs[i].Sequence)
					return
				}
				have[msgs[i].id] = msgs[i]
			}
		}
	}
	if judged {
		a.dispatch, _ = d.(*dispatch.Dispatch)
	}
	j := newJudge(w)
	for i := range w.bus.journal().msgs {
		m := w.bus.journal().msgs[i]
		st, err := r.FeedShared(&m.Shared)
		if err != nil {
			w.violated(RuleReplay, "%s cannot fold journal sequence %d: %v", id.Name, m.Sequence, err)
			return
		}
		if st.Outcome != decider.Folded {
			continue
		}
		if judged {
			if what, rule := j.fold(&st); what != "" {
				w.now = m.at
				w.violated(rule, "%s (journal sequence %d, %s of %s)", what, m.Sequence, st.Event.Type, st.Event.Source)
				return
			}
		}
		if len(st.Outputs) == 0 {
			continue
		}
		batches, _, err := r.Batches(&st)
		if err != nil {
			w.violated(RuleReplay, "%s, journal sequence %d: %v", id.Name, m.Sequence, err)
			return
		}
		if _, active := r.Active(); !active {
			continue
		}
		for _, b := range batches {
			for _, out := range b.Messages {
				msgID := first(out.Header, events.HeaderMsgID)
				s := have[msgID]
				delete(have, msgID)
				switch {
				case s == nil && m.at < w.story.Length-calmEnd/2:
					w.violated(RuleReplay, "%s is decided by journal sequence %d, but was never stored", out.Subject, m.Sequence)
					return
				case s != nil && !same(s, out):
					w.violated(RuleReplay, "%s was stored as %s, a replay says %s", msgID, s.Data, out.Data)
					return
				}
			}
		}
	}
	for msgID := range have {
		w.violated(RuleReplay, "%s is stored, but no replay decides it", msgID)
		return
	}
	a.agree(r)
}

// same reports whether a replayed message is the stored one.
func same(s *stored, m *nats.Msg) bool {
	if s.Subject != m.Subject || !bytes.Equal(s.Data, m.Data) || len(s.Header) != len(m.Header) {
		return false
	}
	for k := range m.Header {
		if first(s.Header, k) != first(m.Header, k) {
			return false
		}
	}
	return true
}

// agree compares every live replica of the identity with the replay.
func (a *auditor) agree(r *decider.Runner) {
	for _, h := range a.w.hosts {
		for _, s := range h.seats {
			if s.r == nil || s.r.Identity() != r.Identity() || s.r.Sequence() != r.Sequence() {
				continue
			}
			if s.r.StateHash() != r.StateHash() {
				a.w.violated(RuleReplay, "%s/%s is in state %s, a replay in %s", h.spec.Name, s.id.Name, s.r.StateHash(), r.StateHash())
			}
		}
	}
}

// books adds up what settlement booked.
func (a *auditor) books() {
	w := a.w
	var l ledger.Ledger
	msgs := w.bus.streams[events.StreamRevenue].msgs
	for i := range msgs {
		e, err := events.Decode(msgs[i].Subject, msgs[i].Header, msgs[i].Data)
		if err != nil {
			w.violated(RuleBalance, "REVENUE holds what is no event: %v", err)
			return
		}
		if p, ok := e.Data.(*events.EnergySettled); ok {
			in := p.ContractedMilliwattHours + p.OverdrawnMilliwattHours
			out := p.AIMilliwattHours + p.HouseMilliwattHours + p.MiningMilliwattHours + p.ResoldMilliwattHours + p.UnusedMilliwattHours
			if in != out {
				w.violated(RuleBalance, "the interval from %s has %d mWh of sources and %d mWh of uses", p.IntervalStart, in, out)
				return
			}
		}
		l.Add(e)
	}
	t := l.Totals()
	if got := t.Accrued[events.BasisLive].Shares; got != w.shares && !a.disturbed(FaultClock) {
		w.violated(RuleBalance, "%d shares were accepted, %d are booked", w.shares, got)
		return
	}
	if len(w.story.Faults) > 0 || len(w.minutes) < 3 {
		return
	}
	// Without faults the books follow the floor.
	true1, booked := w.minutes[min(int(t.Energy.Intervals), len(w.minutes)-1)], t.Energy.Mining
	if d := max(true1-booked, booked-true1); d > true1/20+20_000 {
		w.violated(RuleBalance, "the floor mined %d mWh in %d minutes, %d mWh are booked", true1, t.Energy.Intervals, booked)
	}
}

func (a *auditor) disturbed(k FaultKind) bool {
	for i := range a.w.story.Faults {
		if a.w.story.Faults[i].Kind == k {
			return true
		}
	}
	return false
}

// recovered wants mining to go on, once all has been well for long enough and
// there is room.
func (a *auditor) recovered() {
	w := a.w
	if w.now < w.oracle.faultUntil-faultEcho+calmEnd || len(w.plant.units) == 0 {
		return
	}
	if !w.story.calmSince(w.now - calmEnd) {
		return
	}
	room := w.plant.rooms()
	for _, u := range w.plant.units {
		if u.dark || u.plug != nil && w.oracle.cut[u.plug.id] {
			continue // only people switch its outlet on
		}
		least := room[u.place]
		for n := u.place; n != nil; n = n.up {
			least = min(least, room[n]-n.mining-2*max(u.caps.MinWatts, 1)-n.usable/50)
		}
		if u.draw == 0 && least > 0 {
			w.violated(RuleRecovery, "unit %s is off although all has been well for %s and all above it have room for %d W more than it needs%s", u.id, calmEnd, least, a.heldBy(u))
			return
		}
	}
}

// heldBy tells what dispatch says to hold a unit back by.
func (a *auditor) heldBy(u *unit) string {
	if a.dispatch == nil {
		return ""
	}
	all, err := a.dispatch.WhyUnits("")
	if err != nil {
		return ": " + err.Error()
	}
	for i := range all {
		if all[i].Unit != u.id {
			continue
		}
		var by strings.Builder
		for _, h := range all[i].Held {
			fmt.Fprintf(&by, ", %d W by %s", h.Watts, h.By)
			if h.Node != "" {
				fmt.Fprintf(&by, " at %s", h.Node)
			}
		}
		return fmt.Sprintf("; dispatch permits %d W of %d W%s", all[i].SetpointWatts, all[i].NameplateWatts, by.String())
	}
	return "; dispatch does not know it"
}
