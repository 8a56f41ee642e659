// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/ballast-energy/ballast/events"
)

// Role is what a credential is for.
type Role string

// Roles that people hand out, and those of Ballast's own processes.
const (
	// RoleIssuer publishes grid signals under its own name, nothing else.
	RoleIssuer Role = "issuer"
	// RoleScheduler is an AI scheduler: it publishes what it says of its jobs,
	// nothing else.
	RoleScheduler Role = "scheduler"
	// RoleWorker publishes its own status and shares and hears its own
	// commands and work.
	RoleWorker Role = "worker"
	// RoleSource publishes readings and quotes under its own names.
	RoleSource Role = "source"
	// RoleViewer reads everything and publishes nothing.
	RoleViewer Role = "viewer"
	// RoleOperator is a person: reads everything, signals as "operator",
	// configures sites, activates deciders, imports journals.
	RoleOperator Role = "operator"
	// RoleDispatcher is a decider host in a process of its own.
	RoleDispatcher Role = "dispatcher"
	// RoleGateway hands out work and judges shares.
	RoleGateway Role = "gateway"
	// RoleOutlet controls outlets: it hears the commands for them and tells what
	// it did, and nothing else.
	RoleOutlet Role = "outlet"
	// RoleInternal has every right: the process that embeds the server, and
	// everybody on the machine while the bus is not secured.
	RoleInternal Role = "internal"
)

// Roles lists the roles that `ballast join-token` may mint, in the order of the
// documentation.
func Roles() []Role {
	return []Role{RoleIssuer, RoleScheduler, RoleWorker, RoleSource, RoleViewer, RoleOperator, RoleDispatcher, RoleGateway, RoleOutlet}
}

// reach is how much of the bus a role is about.
type reach int

const (
	oneSite reach = iota // a site must be named
	anySite              // a site may be named
	allSite              // streams are shared by all sites: none can be named
)

// roleInfo is one row of the permission matrix. Allow lists are templates of
// the server: {{name()}} is the id, {{tag(site)}} the site or *, {{tag(source)}}
// each source token granted, {{subject()}} the user's key. "P" stands for the
// subject prefix. An empty list of a restricted role allows nothing.
type roleInfo struct {
	reach reach
	// pub and sub besides the own inbox, which every role may hear.
	pub, sub []string
	// all rights, lists unused.
	all bool
	// aside: it lives in the account of readers (see readerAPI).
	aside bool
}

// Templates that rows share.
const (
	tSite   = "P.{{tag(site)}}."
	tOwn    = ".{{name()}}"
	tSource = ".{{tag(source)}}"
)

func own(t events.Type) string     { return tSite + string(t) + tOwn }
func granted(t events.Type) string { return tSite + string(t) + tSource }
func anybody(t events.Type) string { return tSite + string(t) + ".*" }
func stored(t events.Type) string  { return tSite + events.StoredToken + "." + string(t) + tOwn }
func relayed() string              { return tSite + events.JournalToken + ".>" }
func broadcast() string            { return tSite + events.BroadcastType }
func join(l ...[]string) []string  { return slices.Concat(l...) }
func everything() []string         { return []string{"P.>", "P" + replaySuffix + ".>"} }
func api(subjects ...string) []string {
	out := make([]string, len(subjects))
	for i, s := range subjects {
		out[i] = "$JS.API." + s
	}
	return out
}

// readAPI is what reading streams needs: look at them, get messages, and make
// consumers.
var readAPI = join(api(
	"INFO", "STREAM.NAMES", "STREAM.LIST", "STREAM.INFO.*", "STREAM.MSG.GET.*", "DIRECT.GET.>",
	"CONSUMER.CREATE.>", "CONSUMER.INFO.>", "CONSUMER.NAMES.*", "CONSUMER.LIST.*",
	"CONSUMER.MSG.NEXT.>", "CONSUMER.DELETE.>", "CONSUMER.UNPIN.>",
), []string{"$JS.ACK.>", "$JS.FC.>"})

// readerAPI is what a viewer needs of it. Viewers live in an account of their
// own that imports the live subjects and these services, because NATS does not
// check the subject on which a requester wants its answer: in the account of
// the streams a viewer could ask for a stored signal or a settlement with a
// live subject as the place of the answer, and so publish it again. Across
// accounts the answer arrives in the viewer's own, where no stream listens.
// Deleting and listing consumers is left out, so that nobody's is in reach.
var readerAPI = []string{
	"STREAM.NAMES", "STREAM.LIST", "STREAM.INFO.*", "STREAM.MSG.GET.*", "DIRECT.GET.>",
	"CONSUMER.CREATE.>", "CONSUMER.INFO.>", "CONSUMER.MSG.NEXT.>",
}

// readerDomain is under which JetStream domain viewers find those services:
// $JS.API itself is where an account's own streams would be.
const readerDomain = accountName

// readerServices are the subjects of readerAPI as a viewer knows them.
func readerServices() []string {
	out := make([]string, len(readerAPI))
	for i, s := range readerAPI {
		out[i] = "$JS." + readerDomain + ".API." + s
	}
	return out
}

// plainInbox is where tools that know nothing of inboxes of one's own, such as
// the nats CLI, hear replies. Those who may hear it may read everything anyway.
var plainInbox = []string{nats.InboxPrefix + ">"}

// roleTable is the permission matrix.
var roleTable = map[Role]roleInfo{
	RoleIssuer: {
		reach: anySite,
		pub:   []string{granted(events.TypeGridSignal)},
	},
	RoleScheduler: {
		reach: anySite,
		pub:   []string{granted(events.TypeAIJob)},
	},
	RoleWorker: {
		reach: oneSite,
		pub:   []string{own(events.TypeWorkerStatus), own(events.TypeShareFound)},
		sub: []string{
			own(events.TypeCommandCurtail), broadcast(),
			stored(events.TypeCommandRamp), stored(events.TypeCommandCurtail),
			tSite + events.StoredToken + "." + events.BroadcastType,
			own(events.TypePermitRenewed), own(events.TypeWorkAssigned),
		},
	},
	RoleOutlet: {
		reach: oneSite,
		pub:   []string{own(events.TypeOutletStatus)},
		sub:   []string{own(events.TypeCommandOutlet), stored(events.TypeCommandOutlet)},
	},
	RoleSource: {
		reach: anySite,
		pub:   []string{granted(events.TypeMeterReading), granted(events.TypeMarketQuote), granted(events.TypePoolStatement)},
	},
	RoleViewer: {
		reach: allSite,
		aside: true,
		pub:   readerServices(),
		sub:   join(everything(), plainInbox),
	},
	RoleOperator: {
		reach: allSite,
		pub: join(readAPI, []string{
			tSite + string(events.TypeGridSignal) + "." + events.OperatorSource,
			tSite + string(events.TypeOutletRequested) + "." + events.OperatorSource,
			tSite + string(events.TypeAIJob) + "." + events.OperatorSource,
			tSite + string(events.TypeSiteConfig) + "." + events.SiteSource,
			tSite + string(events.TypeMarketQuote) + "." + events.OperatorSource,
			anybody(events.TypePoolStatement),
			anybody(events.TypeDeciderActivated),
			"P" + replaySuffix + ".>",
		}),
		sub: join(everything(), plainInbox),
	},
	RoleDispatcher: {
		reach: allSite,
		pub: join(readAPI, api(
			"STREAM.CREATE.*", "STREAM.UPDATE.*",
			"STREAM.PURGE."+events.StreamJournal, "STREAM.PURGE."+snapshotStream,
			"STREAM.MSG.DELETE."+snapshotStream, "CONSUMER.DURABLE.CREATE.>",
		), []string{
			relayed(), anybody(events.TypeClockTick), anybody(events.TypeJournalOpened),
			anybody(events.TypeDeciderActivated), anybody(events.TypeDeciderCheckpoint),
			anybody(events.TypeCommandCurtail), anybody(events.TypeCommandRamp), broadcast(), anybody(events.TypeCommandOutlet),
			anybody(events.TypeCurtailmentMetered), anybody(events.TypeUnitEscalated),
			anybody(events.TypePermitRenewed), anybody(events.TypeDispatchDecided), anybody(events.TypeHeadroomPublished),
			anybody(events.TypeEnergySettled), anybody(events.TypeRevenueAccrued), anybody(events.TypeRevenueSettled),
			anybody(events.TypeRevenueReconciled), anybody(events.TypeCurtailmentSettled), anybody(events.TypeProgrammePerformed),
			anybody(events.TypeAlertRaised), anybody(events.TypeAlertCleared), anybody(events.TypeDeadLetter),
			"$O." + events.SnapshotBucket + ".>",
		}),
		sub: join(everything(), []string{"$O." + events.SnapshotBucket + ".>"}),
	},
	RoleGateway: {
		reach: allSite,
		pub: join(readAPI, api("CONSUMER.DURABLE.CREATE.>"), []string{
			anybody(events.TypeWorkAssigned),
			own(events.TypeShareAccepted), own(events.TypeShareRejected), own(events.TypeShareUnknown),
			own(events.TypeShareFound), own(events.TypeShareSubmitted), own(events.TypeGatewayStatus),
			own(events.TypeBlockFound), own(events.TypeBlockMatured), own(events.TypeBlockOrphaned),
			own(events.TypeAlertRaised), own(events.TypeAlertCleared),
			own(events.TypeMarketQuote), anybody(events.TypePoolStatement), anybody(events.TypeDeadLetter),
			"$KV." + events.SliceBucket + ".>",
		}),
		sub: everything(),
	},
	RoleInternal: {reach: allSite, all: true},
}

// inboxPrefix is where a user hears replies: its own, so that no user can read
// another's.
func inboxPrefix(user string) string { return "_INBOX_" + user }

// templates puts prefix into the rows of a role, with the inbox.
func (r roleInfo) templates(prefix string) (pub, sub []string) {
	return under(prefix, r.pub), append(under(prefix, r.sub), inboxPrefix("{{subject()}}")+".>")
}

// under puts prefix where P stands.
func under(prefix string, in []string) []string {
	out := make([]string, 0, len(in))
	for _, s := range in {
		if rest, ok := strings.CutPrefix(s, "P"); ok && rest != "" {
			s = prefix + rest
		}
		out = append(out, s)
	}
	return out
}

// Permissions are the subjects that a grant may publish and subscribe under
// prefix, as the server resolves them for user. All means no limits.
func Permissions(prefix, user string, g Grant) (pub, sub []string, all bool, err error) {
	if err := g.check(); err != nil {
		return nil, nil, false, err
	}
	info := roleTable[g.Role]
	if info.all {
		return nil, nil, true, nil
	}
	site := g.Site
	if site == "" {
		site = "*"
	}
	resolve := func(in []string) []string {
		var out []string
		for _, s := range in {
			s = strings.NewReplacer("{{name()}}", g.ID, "{{tag(site)}}", site, "{{subject()}}", user).Replace(s)
			if !strings.Contains(s, "{{tag(source)}}") {
				out = append(out, s)
				continue
			}
			for _, src := range g.sources() {
				out = append(out, strings.ReplaceAll(s, "{{tag(source)}}", src))
			}
		}
		return out
	}
	p, s := info.templates(prefix)
	return resolve(p), resolve(s), false, nil
}

// check reports what is wrong with a grant.
func (g Grant) check() error {
	info, ok := roleTable[g.Role]
	if !ok {
		return fmt.Errorf("bus: role %q: use one of %v", g.Role, Roles())
	}
	if err := events.CheckToken("id", g.ID); err != nil {
		return fmt.Errorf("bus: join token: %w", err)
	}
	switch {
	case g.Site == "" && info.reach == oneSite:
		return fmt.Errorf("bus: join token: a %s belongs to one site: name it", g.Role)
	case g.Site != "" && info.reach == allSite:
		return fmt.Errorf("bus: join token: a %s sees every site, because streams are shared by all of them: leave the site out", g.Role)
	case g.Site != "":
		if err := events.CheckToken("site", g.Site); err != nil {
			return fmt.Errorf("bus: join token: %w", err)
		}
	}
	for _, s := range g.Sources {
		if g.Role != RoleSource && g.Role != RoleIssuer && g.Role != RoleScheduler {
			return fmt.Errorf("bus: join token: a %s speaks under its own id only: leave the sources out", g.Role)
		}
		if err := events.CheckToken("source", s); err != nil {
			return fmt.Errorf("bus: join token: %w", err)
		}
	}
	if slices.Contains(g.sources(), events.OperatorSource) && g.Role != RoleOperator && g.Role != RoleInternal {
		return fmt.Errorf("bus: join token: a %s cannot speak as %q: only an operator token can", g.Role, events.OperatorSource)
	}
	return nil
}

// sources are the source tokens granted: those named, else the id.
func (g Grant) sources() []string {
	if len(g.Sources) == 0 {
		return []string{g.ID}
	}
	return g.Sources
}
