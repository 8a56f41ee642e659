// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/ballast-energy/ballast/events"
)

// Bounds of the health report.
const (
	// clockWarning and clockCritical bound the distance of the server's clock
	// from ours. Arrival times are the server's, windows of signals are wall
	// time.
	clockWarning  = 500 * time.Millisecond
	clockCritical = 5 * time.Second
	// diskWarning and diskCritical are free bytes under which the disk is a
	// finding; fullSoon is how near a full disk may be at the present rate.
	diskWarning  = 5 << 30
	diskCritical = 1 << 30
	fullSoon     = 14 * 24 * time.Hour
	// deadRecent is how new a dead letter makes a finding.
	deadRecent = time.Hour
	// farAway is a round trip above which permits get tight.
	farAway = 250 * time.Millisecond
)

// Level of a finding.
type Level string

// Levels, from fine to bad.
const (
	LevelOK       Level = "ok"
	LevelWarning  Level = "warning"
	LevelCritical Level = "critical"
)

// Finding is one thing that was looked at.
type Finding struct {
	// Check names what was looked at: "streams", "clock", "disk".
	Check string `json:"check"`
	// Level of it.
	Level Level `json:"level"`
	// Message says how it is, for people.
	Message string `json:"message"`
	// Remedy says what to do; empty when all is well.
	Remedy string `json:"remedy,omitempty"`
}

// Health is what `ballast doctor` prints about the bus.
type Health struct {
	// Findings in the order of the checks; every check leaves at least one.
	Findings []Finding `json:"findings"`
	// Filling of the streams that are bounded or grow.
	Filling []Filling `json:"filling"`
}

// Worst level among the findings.
func (h Health) Worst() Level {
	worst := LevelOK
	for _, f := range h.Findings {
		if f.Level == LevelCritical || f.Level == LevelWarning && worst == LevelOK {
			worst = f.Level
		}
	}
	return worst
}

func (h *Health) add(check string, l Level, remedy, format string, args ...any) {
	h.Findings = append(h.Findings, Finding{Check: check, Level: l, Remedy: remedy, Message: fmt.Sprintf(format, args...)})
}

// Health looks at the bus and changes nothing. What could not be looked at is a
// finding too, so it never fails; ctx bounds how long it takes.
func (b *Bus) Health(ctx context.Context) Health {
	var h Health
	b.checkConnection(&h)
	b.checkDrift(ctx, &h)
	infos := b.checkStores(ctx, &h)
	b.checkClock(ctx, &h)
	b.checkDurability(&h, infos)
	b.checkRetention(&h, infos)
	b.checkSpace(ctx, &h)
	b.checkDeadLetters(&h, infos)
	b.checkServer(&h)
	return h
}

func (b *Bus) checkConnection(h *Health) {
	const check = "connection"
	rtt, err := b.nc.RTT()
	if err != nil {
		h.add(check, LevelCritical, "start the bus, or check url and network", "the bus does not answer: %v", err)
		return
	}
	where := b.ClientURL()
	if where == "" {
		where = "this process only"
	}
	l, remedy := LevelOK, ""
	if rtt > farAway {
		l, remedy = LevelWarning, "place the bus nearer, or lengthen the lease"
	}
	h.add(check, l, remedy, "nats-server %s at %s, round trip %s", b.nc.ConnectedServerVersion(), where, rtt.Round(10*time.Microsecond))
}

func (b *Bus) checkDrift(ctx context.Context, h *Health) {
	const check = "streams"
	drift, err := b.CheckStreams(ctx)
	for _, d := range drift {
		if d.Missing {
			h.add(check, LevelCritical, "start `ballast up` or a dispatcher with this configuration: it declares the streams", "%s is missing", d.Stream)
			continue
		}
		h.add(check, LevelWarning, "restart the dispatcher to apply the declaration; if the server refuses, the stream has to be exported and made anew",
			"%s is not as declared: %s", d.Stream, strings.Join(d.Differences, "; "))
	}
	switch {
	case err != nil:
		h.add(check, LevelCritical, "check the rights of these credentials and the server's log", "streams could not be looked at: %v", err)
	case len(drift) == 0:
		h.add(check, LevelOK, "", "all %d are as declared", len(Streams(b.cfg))+1)
	}
}

// checkStores looks for what the server says it lost, and returns the state of
// every stream that answered.
func (b *Bus) checkStores(ctx context.Context, h *Health) map[string]*jetstream.StreamInfo {
	const check = "store"
	infos := make(map[string]*jetstream.StreamInfo)
	fine := true
	for _, name := range streamNames(b.cfg) {
		s, err := b.stream(ctx, name)
		if err != nil {
			continue // a finding of checkDrift
		}
		info := s.CachedInfo()
		infos[name] = info
		if lost := info.State.Lost; lost != nil && len(lost.Msgs) > 0 {
			fine = false
			h.add(check, LevelCritical, "check the disk; `ballast journal replay --verify` lists what decisions it concerns",
				"%s lost %d messages (%d bytes) that its index names but its files do not hold", name, len(lost.Msgs), lost.Bytes)
		}
		if c := info.Cluster; c != nil && info.Config.Replicas > 1 {
			late := 0
			for _, r := range c.Replicas {
				if r.Offline || !r.Current {
					late++
				}
			}
			if c.Leader == "" || late > 0 {
				fine = false
				h.add(check, LevelWarning, "bring the cluster's servers back", "%s: leader %q, %d of %d replicas offline or behind", name, c.Leader, late, info.Config.Replicas)
			}
		}
	}
	if fine {
		h.add(check, LevelOK, "", "no stream reports a loss")
	}
	return infos
}

// checkClock compares the server's clock with ours by the time in its answer.
func (b *Bus) checkClock(ctx context.Context, h *Health) {
	const check = "clock"
	before := time.Now()
	s, err := b.stream(ctx, events.StreamInputs)
	after := time.Now()
	if err != nil || s.CachedInfo().TimeStamp.IsZero() {
		h.add(check, LevelWarning, "make the streams exist first", "the server's clock could not be read")
		return
	}
	trip := after.Sub(before)
	offset := s.CachedInfo().TimeStamp.Sub(before.Add(trip / 2))
	l, remedy := LevelOK, ""
	// Half the round trip is what cannot be told apart.
	switch off := offset.Abs() - trip/2; {
	case off > clockCritical:
		l, remedy = LevelCritical, "run NTP on both machines: windows of grid signals are wall time"
	case off > clockWarning:
		l, remedy = LevelWarning, "run NTP on both machines"
	}
	h.add(check, l, remedy, "the server's clock is %+d ms from ours (± %d ms)", offset.Milliseconds(), (trip/2 + time.Millisecond).Milliseconds())
}

// checkDurability says when acknowledged facts are on the disk, by the note
// that the process with the embedded server leaves in the streams.
func (b *Bus) checkDurability(h *Health, infos map[string]*jetstream.StreamInfo) {
	const check = "durability"
	sync := ""
	if info := infos[events.StreamInputs]; info != nil {
		sync = info.Config.Metadata[metaSync]
	}
	switch {
	case sync == PowerLoss.sync():
		h.add(check, LevelOK, "", "what is acknowledged is on the disk, save the last moments of %s", events.StreamJournal)
	case sync != "" && b.cfg.Durability == PowerLoss:
		h.add(check, LevelWarning, "set bus.durability: power-loss where the server is embedded, and restart it",
			"the server syncs %s: a power failure loses what was acknowledged since", sync)
	case sync != "":
		h.add(check, LevelOK, "", "the server syncs %s", sync)
	case b.cfg.Durability == PowerLoss:
		h.add(check, LevelWarning, "set `jetstream { sync_interval: always }` on every server of this bus; its default is two minutes",
			"%s is wished for, and when this server syncs cannot be read from here", PowerLoss)
	default:
		h.add(check, LevelOK, "", "%s", b.cfg.Durability)
	}
}

// checkRetention says when bounds begin to drop what somebody may still want.
func (b *Bus) checkRetention(h *Health, infos map[string]*jetstream.StreamInfo) {
	const check = "retention"
	now := time.Now()
	for _, name := range streamNames(b.cfg) {
		info := infos[name]
		if info == nil {
			continue
		}
		age, bytes := info.Config.MaxAge, info.Config.MaxBytes
		if name == events.StreamJournal {
			age, bytes = b.cfg.Retention.JournalAge, b.cfg.Retention.JournalBytes
		}
		f := fillingOf(name, info.State, age, bytes, now)
		h.Filling = append(h.Filling, f)
		if f.DroppedBy == "" || name == events.StreamJobs {
			continue
		}
		left := f.DropsAt.Sub(now)
		span := f.DropsAt.Sub(f.Oldest)
		switch {
		case f.DroppedBy == "bytes" && span < 24*time.Hour:
			h.add(check, LevelWarning, "raise its byte bound under retention, or find out who floods it",
				"%s holds only about %s of events within its byte bound", name, span.Round(time.Minute))
		case left > 0:
			h.add(check, LevelOK, "", "%s: the oldest event goes in %s (bound by %s)", name, days(left), f.DroppedBy)
		default:
			h.add(check, LevelOK, "", "%s is at its bound (%s): what comes pushes the oldest out", name, f.DroppedBy)
		}
	}
	if c, ok := infos[events.StreamCommands]; ok && c.Config.MaxAge > 0 && c.Config.MaxAge < 24*time.Hour {
		h.add(check, LevelWarning, "set retention.commands_age to days: a host that was away longer cannot look at what was already said",
			"%s keeps %s only", events.StreamCommands, c.Config.MaxAge)
	}
}

// checkSpace looks at the disk under the embedded server, or at the limits of
// the account elsewhere.
func (b *Bus) checkSpace(ctx context.Context, h *Health) {
	const check = "disk"
	// Another process of this machine may own the data directory.
	if _, err := os.Stat(authorityFile(b.cfg.DataDir)); b.server == nil && (b.cfg.DataDir == "" || err != nil) {
		info, err := b.js.AccountInfo(ctx)
		switch {
		case err != nil:
			h.add(check, LevelWarning, "use credentials that may read the account", "the account's limits could not be read: %v", err)
		case info.Limits.MaxStore > 0 && info.Store > uint64(info.Limits.MaxStore)/10*9:
			h.add(check, LevelCritical, "raise the account's storage limit: at the limit the bus refuses events",
				"%s of %s allowed to this account are used", inBytes(info.Store), inBytes(uint64(info.Limits.MaxStore)))
		default:
			h.add(check, LevelOK, "", "%s used by the streams; the disk of a server that is not ours cannot be seen from here", inBytes(info.Store))
		}
		return
	}
	free, total, err := diskSpace(b.cfg.DataDir)
	if err != nil {
		h.add(check, LevelWarning, "check the data directory", "%v", err)
		return
	}
	var perDay uint64
	for _, f := range h.Filling {
		// What a bound drops no longer grows.
		if f.DroppedBy == "" || f.Oldest.Add(time.Hour).After(time.Now()) || f.DropsAt.After(time.Now()) {
			perDay += f.BytesPerDay
		}
	}
	l, remedy := LevelOK, ""
	text := fmt.Sprintf("%s free of %s", inBytes(free), inBytes(total))
	if perDay > 0 {
		left := time.Duration(min(float64(free)/float64(perDay), 36500) * 24 * float64(time.Hour))
		text += fmt.Sprintf(", growing by about %s a day", inBytes(perDay))
		if left < fullSoon {
			l, remedy = LevelWarning, "shorten retention.journal_age or give it a larger disk"
			text += fmt.Sprintf(": full in about %s", left.Round(time.Hour))
		}
	}
	switch {
	case free < diskCritical:
		l, remedy = LevelCritical, "free space now: on a full disk the bus refuses events and every machine falls to its failsafe"
	case free < diskWarning:
		l, remedy = LevelWarning, "free space, or shorten retention.journal_age"
	}
	h.add(check, l, remedy, "%s", text)
}

// days writes a long time for a person: in days, else without empty parts.
func days(d time.Duration) string {
	if d >= 48*time.Hour {
		return fmt.Sprintf("%d days", int64(d.Round(time.Hour)/(24*time.Hour)))
	}
	s := d.Round(time.Minute).String()
	s = strings.TrimSuffix(s, "0s")
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func (b *Bus) checkDeadLetters(h *Health, infos map[string]*jetstream.StreamInfo) {
	const check = "dead letters"
	info := infos[events.StreamDeadLetter]
	if info == nil {
		return
	}
	n := info.State.Msgs
	if n > 0 && time.Since(info.State.LastTime) < deadRecent {
		h.add(check, LevelWarning, "`ballast watch deadletter --since 1h` shows what was refused and why",
			"%d, the newest %s ago", n, time.Since(info.State.LastTime).Round(time.Second))
		return
	}
	h.add(check, LevelOK, "", "%d, none within the last %s", n, days(deadRecent))
}

// checkServer asks the embedded server about itself.
func (b *Bus) checkServer(h *Health) {
	const check = "server"
	if b.server == nil {
		return
	}
	if st := b.server.Healthz(&server.HealthzOptions{}); st.StatusCode != 0 && st.StatusCode != http.StatusOK {
		h.add(check, LevelCritical, "see the log of the process that embeds the server", "the server calls itself unwell: %s", st.Error)
		return
	}
	if n := b.server.NumSlowConsumers(); n > 0 {
		h.add(check, LevelWarning, "look for a process that reads too slowly, or a machine without enough CPU",
			"%d connections were cut off since the start because they did not keep up", n)
		return
	}
	h.add(check, LevelOK, "", "healthy, %d connections", b.server.NumClients())
}

// streamNames of the declaration and the snapshot store.
func streamNames(c Config) []string {
	var out []string
	for _, s := range Streams(c) {
		out = append(out, s.Name)
	}
	return append(out, snapshotStream)
}

// inBytes writes a size for people.
func inBytes(n uint64) string {
	const unit = 1024
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	f, i := float64(n)/unit, 0
	for f >= unit && i < 4 {
		f, i = f/unit, i+1
	}
	return fmt.Sprintf("%.1f %ciB", f, "KMGTP"[i])
}
